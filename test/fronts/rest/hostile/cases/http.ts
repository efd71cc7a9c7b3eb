/** Requests that HTTP allows and the contract does not: routes, methods, media types. */
import { gzipSync } from 'node:zlib'
import { get, type Case } from './case.ts'

const badRoutes: Case[] = [
  get('/.env', 'routeNotFound'),
  get('/docs/static/..%2f..%2f..%2fpackage.json', 'routeNotFound'),
  get('/console/..%2f..%2fpackage.json', 'routeNotFound'),
  get('/console/%2e%2e/package.json', 'routeNotFound'),
  get('/console/pages.js.map', 'routeNotFound'),
  get('/console/vendor/..%2f..%2froutes.ts', 'routeNotFound'),
  get('/console/routes.ts', 'routeNotFound'),
  {
    name: 'a page that wants HTML',
    method: 'GET',
    path: '/<script>alert(1)</script>',
    headers: { accept: 'text/html' },
    code: 'routeNotFound'
  },
  {
    name: 'a slash too many',
    path: '/queues//q/messages',
    body: '{"body":1}',
    code: 'routeNotFound'
  },
  {
    name: 'a path with a parameter',
    path: '/queues/q/messages;a=b',
    body: '{"body":1}',
    code: 'routeNotFound'
  },
  {
    name: 'a path that is not UTF-8',
    path: '/queues/%ff/messages',
    body: '{"body":1}',
    code: 'malformedRequest'
  },
  {
    name: 'a name of 10,000 characters',
    path: `/queues/${'a'.repeat(10_000)}/messages`,
    body: '{"body":1}',
    code: 'malformedRequest'
  }
]

const badMethods: Case[] = [
  { name: 'a HEAD that would lease', method: 'HEAD', path: '/queues/q/lease', code: 'methodNotAllowed' },
  { name: 'a GET that would lease', method: 'GET', path: '/queues/q/lease', code: 'methodNotAllowed' },
  { name: 'PATCH', method: 'PATCH', path: '/queues/q', body: '{}', code: 'methodNotAllowed' },
  { name: 'TRACE', method: 'TRACE', path: '/queues/q', code: 'methodNotAllowed' },
  { name: 'a POST of a series', path: '/queues/q/series', body: '{}', code: 'methodNotAllowed' },
  { name: 'a POST to the live figures', path: '/console/live', body: '{}', code: 'methodNotAllowed' },
  {
    name: 'a DELETE in disguise',
    method: 'GET',
    path: '/queues/other/messages/0',
    headers: { 'x-http-method-override': 'DELETE' },
    code: 'messageNotFound'
  },
  {
    name: 'a preflight request of a foreign page',
    method: 'OPTIONS',
    path: '/queues/q',
    headers: { origin: 'https://evil.example', 'access-control-request-method': 'DELETE' },
    code: 'forbidden'
  }
]

const badMediaTypes: Case[] = [
  ...[
    'application/json\ta',
    'application/json garbage',
    'application/json; charset=utf-16',
    'multipart/form-data',
    'text/plain',
    ''
  ].map((type): Case => ({
    name: `a lease as ${JSON.stringify(type)}`,
    path: '/queues/q/lease',
    body: '{}',
    headers: { 'content-type': type },
    code: 'unsupportedMediaType'
  })),
  ...['application/json\ta', 'application/json; charset=utf-16'].map((type): Case => ({
    name: `an enqueue as ${JSON.stringify(type)}`,
    body: '{"body":1}',
    headers: { 'content-type': type },
    code: 'unsupportedMediaType'
  })),
  {
    name: 'a content encoding',
    body: new Uint8Array([0x1f, 0x8b]),
    headers: { 'content-encoding': 'gzip' },
    code: 'unsupportedMediaType'
  },
  {
    name: 'a gzip bomb',
    body: gzipSync(Buffer.alloc(100_000_000)),
    headers: { 'content-encoding': 'gzip' },
    code: 'unsupportedMediaType'
  },
  {
    name: 'a gzip bomb for a raw body',
    body: gzipSync(Buffer.alloc(1_000_000)),
    headers: { 'content-type': 'text/plain', 'content-encoding': 'deflate, gzip' },
    code: 'unsupportedMediaType'
  }
]

export const http: Case[] = [...badRoutes, ...badMethods, ...badMediaTypes]
