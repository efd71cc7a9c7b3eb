import neostandard, { resolveIgnoresFromGitignore } from 'neostandard'

export default [
  // Prettier decides the layout.
  ...neostandard({ ts: true, env: ['browser'], noStyle: true, ignores: resolveIgnoresFromGitignore() }),
  { rules: { 'no-console': 'error' } },
  {
    files: ['**/*.ts'],
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }]
    }
  }
]
