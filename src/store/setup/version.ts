/** The oldest PostgreSQL that Holdfast runs on. */
export const postgresVersionMin = 15

/** The same as server_version_num tells it: 150004 is 15.4. */
export const serverVersionNumMin = postgresVersionMin * 10_000
