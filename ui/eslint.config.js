const js = require('@eslint/js');
const a11y = require('eslint-plugin-jsx-a11y');
const hooks = require('eslint-plugin-react-hooks');
const ts = require('typescript-eslint');

module.exports = ts.config(
  { ignores: ['lib', 'labextension', 'src/model/contract.ts', '*.config.js'] },
  js.configs.recommended,
  ...ts.configs.recommendedTypeChecked,
  a11y.flatConfigs.recommended,
  hooks.configs['recommended-latest'],
  {
    languageOptions: { parserOptions: { project: ['tsconfig.json', 'test/tsconfig.json'] } },
    rules: {
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { attributes: false } }],
      // Labels and names come from strangers: they reach the page as text only.
      'no-restricted-properties': ['error', ...['innerHTML', 'insertAdjacentHTML'].map(property => ({ property }))],
      'no-restricted-syntax': ['error', "JSXAttribute[name.name='dangerouslySetInnerHTML']"]
    }
  }
);
