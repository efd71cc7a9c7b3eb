import regexp from 'eslint-plugin-regexp'
import neostandard, { resolveIgnoresFromGitignore } from 'neostandard'

export default [
  // Prettier decides the layout.
  ...neostandard({ ts: true, env: ['browser'], noStyle: true, ignores: resolveIgnoresFromGitignore() }),
  { rules: { 'no-console': 'error' } },
  {
    // A pattern that takes quadratic time lets one long text stop the service.
    files: ['src/**'],
    plugins: { regexp },
    rules: {
      'regexp/no-super-linear-backtracking': ['error', { report: 'potential' }],
      'regexp/no-super-linear-move': ['error', { report: 'potential' }]
    }
  },
  {
    files: ['**/*.ts'],
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }]
    }
  }
]
