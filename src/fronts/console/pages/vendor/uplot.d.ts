// Served from node_modules as vendor/uplot.js.
export { default } from 'uplot'
