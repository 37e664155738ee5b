import { manifestType } from '../api.ts';
import { type Answer, type Connection, headerOf } from './connection.ts';
import type { Content } from './content.ts';
import type { Flow } from './jobs.ts';

/** Insists on a status. @throws Error with the answer's head */
export function expectStatus(answer: Answer, status: number, request: string): Answer {
  if (answer.status === status) return answer;
  throw new Error(`${request} answers ${answer.status} where ${status} is due:\n${answer.head}`);
}

function locationOf(answer: Answer, request: string): string {
  const location = headerOf(answer.head, 'location');
  if (location === undefined) throw new Error(`${request} answers no Location`);
  const { pathname, search } = new URL(location, 'http://127.0.0.1');
  return pathname + search;
}

async function beginUpload(connection: Connection, repository: string): Promise<string> {
  const request = `POST /v2/${repository}/blobs/uploads/`;
  const answer = await connection.request(`${request} HTTP/1.1\r\nContent-Length: 0\r\n`);
  return locationOf(expectStatus(answer, 202, request), request);
}

async function endUpload(
  connection: Connection,
  location: string,
  digest: string,
  size: number,
  body: Iterable<Uint8Array>,
) {
  const path = `${location}${location.includes('?') ? '&' : '?'}digest=${encodeURIComponent(digest)}`;
  const type = 'Content-Type: application/octet-stream\r\n';
  const head = `PUT ${path} HTTP/1.1\r\n${type}Content-Length: ${size}\r\n`;
  expectStatus(await connection.request(head, body), 201, `PUT ${path}`);
}

/** Pushes one blob as the named clients do, without asking first whether it is there. */
export async function pushContent(
  connection: Connection,
  repository: string,
  flow: Flow,
  content: Content,
  number: number,
) {
  const location = await beginUpload(connection, repository);
  const digest = content.digest(number);
  if (flow === 'POST+PUT') return endUpload(connection, location, digest, content.size, content.plain(number));
  const head = `PATCH ${location} HTTP/1.1\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n`;
  const answer = expectStatus(await connection.request(head, content.chunked(number)), 202, `PATCH ${location}`);
  return endUpload(connection, locationOf(answer, 'PATCH'), digest, 0, []);
}

/** Pushes one small blob as Docker does: it asks whether it is there, then POST, PATCH, PUT. */
export async function pushSmallBlob(
  connection: Connection,
  repository: string,
  digest: string,
  body: readonly Uint8Array[],
) {
  const path = `/v2/${repository}/blobs/${digest}`;
  expectStatus(await connection.request(`HEAD ${path} HTTP/1.1\r\n`), 404, `HEAD ${path}`);
  const location = await beginUpload(connection, repository);
  const size = body.reduce((sum, piece) => sum + piece.length, 0);
  const pieces = [`${size.toString(16)}\r\n`, ...body, '\r\n0\r\n\r\n'];
  const chunked = Buffer.concat(pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece)));
  const head = `PATCH ${location} HTTP/1.1\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n`;
  const answer = expectStatus(await connection.request(head, [chunked]), 202, `PATCH ${location}`);
  await endUpload(connection, locationOf(answer, 'PATCH'), digest, 0, []);
}

export async function pushTaggedManifest(
  connection: Connection,
  repository: string,
  tag: string,
  manifest: Buffer,
  digest: string,
) {
  const path = `/v2/${repository}/manifests/${tag}`;
  const head = `PUT ${path} HTTP/1.1\r\nContent-Type: ${manifestType}\r\nContent-Length: ${manifest.length}\r\n`;
  const answer = expectStatus(await connection.request(head, [manifest]), 201, `PUT ${path}`);
  const found = headerOf(answer.head, 'docker-content-digest');
  if (found !== digest) throw new Error(`PUT ${path} answers the digest ${found} instead of ${digest}`);
}
