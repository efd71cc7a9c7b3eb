-- API keys. Of the key itself only its digest is kept: 256 random bits need no salt and no slow hash.
create table holdfast.keys (
  id text collate "C" primary key,
  name text not null,
  digest bytea not null,                  -- SHA-256 of the whole key
  rights text[] not null,                 -- as core/keys.ts writes them: lease:mail, enqueue:orders-*, admin
  requests_per_second double precision,   -- null: as many as it likes
  messages_per_second double precision,
  created_at timestamptz not null default now()
);
