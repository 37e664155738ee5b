import type { RegistryError } from '../oci/errors.ts';
import type { RequestBody } from './reply.ts';

/** A short body, in memory. @param limit in bytes @throws what `tooLong` makes, as soon as it is known to be longer */
export async function wholeBody(body: RequestBody, limit: number, tooLong: () => RegistryError): Promise<Buffer> {
  if ((body.length ?? 0) > limit) throw tooLong();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > limit) throw tooLong();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}
