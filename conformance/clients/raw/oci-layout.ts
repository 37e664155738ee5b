import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Content, descriptor, mediaTypes } from '../../harness/content.ts';
import type { Artifact } from './artifact.ts';

/** Writes artifacts as an OCI image layout (image-spec, "Image Layout"), each under its reference name. */
export async function writeOciLayout(folder: string, artifacts: Readonly<Record<string, Artifact>>): Promise<void> {
  const blobs = join(folder, 'blobs', 'sha256');
  await mkdir(blobs, { recursive: true });
  const write = ({ digest, bytes }: Content) => writeFile(join(blobs, digest.slice('sha256:'.length)), bytes);
  for (const content of Object.values(artifacts).flatMap(contentsOf)) await write(content);
  const manifests = Object.entries(artifacts).map(([name, { manifest }]) =>
    descriptor(manifest, { annotations: { 'org.opencontainers.image.ref.name': name } }),
  );
  await writeFile(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  await writeFile(
    join(folder, 'index.json'),
    JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests }),
  );
}

/** What a layout holds: the digests its index names, and those of all its blobs, sorted. */
export async function readOciLayout(folder: string): Promise<{ named: string[]; blobs: string[] }> {
  const index = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')) as { manifests: { digest: string }[] };
  const files = await readdir(join(folder, 'blobs', 'sha256'));
  return { named: index.manifests.map(({ digest }) => digest), blobs: files.map((name) => `sha256:${name}`).sort() };
}

/** Everything an artifact consists of. */
export function contentsOf({ manifest, blobs, children }: Artifact): Content[] {
  return [...blobs, ...children.flatMap(contentsOf), manifest];
}
