import type { Reply } from '../harness/http-client.ts';
import { errorCodes } from './expectations.ts';

/** A rule that holds for every response below `/v2/`, whatever was asked. */
interface Rule {
  /** What must be so, and who says it. */
  name: string;
  applies: (reply: Reply, request: Request) => boolean;
  holds: (reply: Reply, request: Request) => boolean;
}

interface Request {
  method: string;
  path: string;
  /** The last segment of a manifest or blob path. */
  reference: string;
}

const withoutBody = [204, 304];
const isContent = (reply: Reply, { method, reference }: Request) =>
  (method === 'GET' || method === 'HEAD') && reference !== '' && [200, 206].includes(reply.status);

const rules: readonly Rule[] = [
  {
    name: 'no fault inside the server',
    applies: () => true,
    holds: (reply) => reply.status < 500,
  },
  {
    name: 'Docker-Distribution-API-Version: registry/2.0 (distribution; old clients look for it)',
    applies: () => true,
    holds: (reply) => reply.header('docker-distribution-api-version') === 'registry/2.0',
  },
  {
    name: 'Content-Length wherever a body may be (docker and crane need it on HEAD)',
    applies: (reply) => !withoutBody.includes(reply.status),
    holds: (reply) => /^\d+$/.test(reply.header('content-length') ?? ''),
  },
  {
    name: 'no Content-Length on 204 (RFC 9110 §8.6)',
    applies: (reply) => reply.status === 204,
    holds: (reply) => reply.header('content-length') === undefined,
  },
  {
    name: 'Content-Length: 0 on 201 and 202 (distribution)',
    applies: (reply) => reply.status === 201 || reply.status === 202,
    holds: (reply) => reply.header('content-length') === '0',
  },
  {
    name: 'no body in answer to HEAD (RFC 9110 §9.3.2)',
    applies: (_, { method }) => method === 'HEAD',
    holds: (reply) => reply.body.length === 0,
  },
  {
    name: 'no Content-Encoding: it breaks lengths, ranges and digests',
    applies: () => true,
    holds: (reply) => reply.header('content-encoding') === undefined,
  },
  {
    name: 'an error body that clients can read (OCI "Error Codes")',
    applies: (reply, { method }) => reply.status >= 400 && method !== 'HEAD',
    holds: isErrorBody,
  },
  {
    name: 'no code that makes crane try again what cannot succeed (client)',
    applies: (reply, { method }) => reply.status >= 400 && ![416, 429].includes(reply.status) && method !== 'HEAD',
    holds: (reply) =>
      !/^{"errors": ?\[{"code": ?"(BLOB_UPLOAD_INVALID|TOOMANYREQUESTS|UNKNOWN|UNAVAILABLE)"/.test(reply.text),
  },
  {
    name: 'Allow on 405 (RFC 9110 §15.5.6)',
    applies: (reply) => reply.status === 405,
    holds: (reply) => reply.header('allow') !== undefined,
  },
  {
    name: 'UNSUPPORTED in the body of 405 (OCI "Error Codes")',
    applies: (reply, { method }) => reply.status === 405 && method !== 'HEAD',
    holds: (reply) => /"code": ?"UNSUPPORTED"/.test(reply.text),
  },
  {
    name: 'Docker-Content-Digest with the content, the one that was asked for (OCI main, end-2 and end-3)',
    applies: isContent,
    holds: (reply, { reference }) => {
      const digest = reply.header('docker-content-digest') ?? '';
      return reference.includes(':') ? digest === reference : /^sha(256|512):[0-9a-f]+$/.test(digest);
    },
  },
  {
    name: 'ETag is the quoted digest (distribution)',
    applies: isContent,
    holds: (reply) => reply.header('etag') === `"${reply.header('docker-content-digest')}"`,
  },
  {
    name: 'Content-Type of a manifest without parameters (oras and crane compare it as a string)',
    applies: (reply, request) => isContent(reply, request) && request.path.includes('/manifests/'),
    holds: (reply) => /^[a-z0-9.+-]+\/[a-z0-9.+-]+$/.test(reply.header('content-type') ?? ''),
  },
  {
    name: 'Location where something was made or goes on (OCI end-4 to end-7, end-11, end-13)',
    applies: (reply, { method }) =>
      reply.status === 201 || (['POST', 'PATCH'].includes(method) && reply.status === 202),
    holds: (reply) => /^(https?:\/\/[^/]+)?\/(.*\/)?v2\//.test(reply.header('location') ?? ''),
  },
];

/** The rules that a reply breaks, each with the reply as an example. */
export function brokenRules(reply: Reply): Map<string, string> {
  const broken = new Map<string, string>();
  const request = parse(reply.request);
  if (!/^\/v2(\/|$)/.test(request.path)) return broken;
  for (const { name, applies, holds } of rules) {
    if (applies(reply, request) && !holds(reply, request)) broken.set(name, String(reply));
  }
  return broken;
}

function parse(line: string): Request {
  const space = line.indexOf(' ');
  const path = line.slice(space + 1).replace(/\?.*/s, '');
  const reference = /\/(?:manifests|blobs)\/([^/]+)$/.exec(path)?.[1] ?? '';
  return { method: line.slice(0, space), path, reference: reference.replace(/%3a/i, ':') };
}

function isErrorBody(reply: Reply): boolean {
  if (!/^application\/json(;|$)/.test(reply.header('content-type') ?? '')) return false;
  let body: { errors?: { code?: unknown; message?: unknown }[]; details?: unknown };
  try {
    body = JSON.parse(reply.text);
  } catch {
    return false;
  }
  return (
    // docker shows a top-level `details` in place of the message.
    body.details === undefined &&
    Array.isArray(body.errors) &&
    body.errors.length > 0 &&
    body.errors.every(
      ({ code, message }) => errorCodes.has(String(code)) && ['string', 'undefined'].includes(typeof message),
    )
  );
}
