import neostandard, { resolveIgnoresFromGitignore } from 'neostandard'

export default [
  ...neostandard({ ts: true, env: ['browser'], ignores: resolveIgnoresFromGitignore() }),
  {
    rules: {
      '@stylistic/object-property-newline': 'off', // schemas read better in lines that belong together
      'no-console': 'error'
    }
  },
  {
    files: ['**/*.ts'],
    rules: { '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }] }
  }
]
