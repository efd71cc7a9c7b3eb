# The service alone, for a PostgreSQL elsewhere: no embedded database, no development tools.
# The Node.js that the tests run on. Pin it by its digest too: docs/deploy.md says how.
ARG NODE_IMAGE=node:24.21.0-slim

# The guide, which the service shows at /docs/guide.
FROM ${NODE_IMAGE} AS guide
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=optional --ignore-scripts --no-fund --no-audit
COPY . ./
RUN npm run docs

FROM ${NODE_IMAGE}

WORKDIR /app
ENV NODE_ENV=production

COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional --no-fund --no-audit && npm cache clean --force

COPY LICENSE NOTICE ./
COPY bin ./bin
COPY migrations ./migrations
COPY openapi ./openapi
COPY src ./src
COPY --from=guide /app/dist/guide ./dist/guide
# A clone under umask 077 is its owner's alone, and whoever runs the service must read it.
RUN chmod -R a+rX package.json LICENSE NOTICE bin migrations openapi src dist

# Every address in a container belongs to it alone. The ports you publish decide who reaches it.
ENV HOLDFAST_HOST=0.0.0.0 HOLDFAST_PORT=8080
EXPOSE 8080
USER node

HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", \
    "fetch(`http://127.0.0.1:${process.env.HOLDFAST_PORT}/readyz`) \
      .then(answer => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]

# The flags of npm start, but without npm, which would keep SIGTERM from the service.
CMD ["node", \
  "--max-semi-space-size=16", \
  "--initial-old-space-size=128", \
  "--heap-growing-percent=150", \
  "bin/holdfast.mjs", "serve"]
