"""Bounds of the service. npm run generate takes them from src/core/limits.ts."""
DELAY_SECONDS_MAX = 31536000
LEASE_SECONDS_MAX = 43200
LIST_MAX = 1000
WAIT_SECONDS_MAX = 60
