import { expect } from 'vitest';
import type { Artifact } from '../clients/raw/artifact.ts';
import { acceptManifests, type RegistryClient } from '../clients/raw/registry-client.ts';
import type { Content } from '../harness/content.ts';
import type { Reply } from '../harness/http-client.ts';

interface Repository {
  /** What each tag points to. */
  readonly tags: Map<string, Artifact>;
  /** Manifests that can be had by digest, tagged or not. */
  readonly manifests: Map<string, Artifact>;
  /** Digests of manifests that were deleted. */
  readonly gone: Set<string>;
}

/**
 * What a storage volume must hold, as a model beside it: every change goes to a registry and into the model, and
 * `expectServedBy` reads the whole volume through any registry and compares.
 */
export class Volume {
  readonly #repositories = new Map<string, Repository>();

  /** Pushes an artifact with all it consists of. @param tag undefined: by digest only */
  async push(client: RegistryClient, name: string, artifact: Artifact, tag?: string): Promise<void> {
    await client.push(name, artifact, tag);
    const repository = this.#repository(name);
    for (const each of manifestsOf(artifact)) {
      repository.manifests.set(each.manifest.digest, each);
      repository.gone.delete(each.manifest.digest);
    }
    if (tag !== undefined) repository.tags.set(tag, artifact);
  }

  /** Deletes a manifest, and with it every tag that points to it. */
  async deleteManifest(client: RegistryClient, name: string, { manifest }: Artifact): Promise<void> {
    await client.expect(202, 'DELETE', `/v2/${name}/manifests/${manifest.digest}`);
    const { tags, manifests, gone } = this.#repository(name);
    for (const [tag, target] of tags) if (target.manifest.digest === manifest.digest) tags.delete(tag);
    manifests.delete(manifest.digest);
    gone.add(manifest.digest);
  }

  /** Deletes a tag and nothing else. */
  async deleteTag(client: RegistryClient, name: string, tag: string): Promise<void> {
    await client.expect(202, 'DELETE', `/v2/${name}/manifests/${tag}`);
    this.#repository(name).tags.delete(tag);
  }

  get names(): string[] {
    return [...this.#repositories.keys()].sort();
  }

  /** Walks everything: the catalogue, all tags, manifests and blobs, by GET and HEAD, and fails at the first difference. */
  async expectServedBy(client: RegistryClient): Promise<void> {
    // Distribution 2.8 sorts by path and not by name.
    for (const n of [undefined, 1, 7])
      expect((await client.catalog(n)).sort(), `catalogue, n=${n}`).toEqual(this.names);
    for (const [name, { tags, manifests, gone }] of this.#repositories) {
      for (const n of tags.size > 0 ? [undefined, 1, 2] : []) {
        expect((await client.tags(name, n)).sort(), `tags of ${name}, n=${n}`).toEqual([...tags.keys()].sort());
      }
      for (const [tag, { manifest }] of tags) await expectManifest(client, name, tag, manifest);
      for (const { manifest, blobs } of manifests.values()) {
        await expectManifest(client, name, manifest.digest, manifest);
        for (const blob of blobs) await expectBlob(client, name, blob);
      }
      for (const digest of gone) {
        expect((await client.getManifest(name, digest)).status, `${name}@${digest}, deleted`).toBe(404);
      }
    }
  }

  #repository(name: string): Repository {
    const known = this.#repositories.get(name) ?? { tags: new Map(), manifests: new Map(), gone: new Set() };
    this.#repositories.set(name, known);
    return known;
  }
}

/** An artifact and everything below it. */
function manifestsOf(artifact: Artifact): Artifact[] {
  return [artifact, ...artifact.children.flatMap(manifestsOf)];
}

async function expectManifest(
  client: RegistryClient,
  name: string,
  reference: string,
  manifest: Content,
): Promise<void> {
  await expectContent(client, `/v2/${name}/manifests/${reference}`, manifest, manifest.mediaType);
}

async function expectBlob(client: RegistryClient, name: string, blob: Content): Promise<void> {
  await expectContent(client, `/v2/${name}/blobs/${blob.digest}`, blob, 'application/octet-stream');
}

async function expectContent(client: RegistryClient, path: string, content: Content, type: string): Promise<void> {
  const headers = { Accept: acceptManifests };
  const expected = { status: 200, type, digest: content.digest, length: String(content.bytes.length) };
  const get = await client.request('GET', path, { headers });
  expect(headOf(get), `GET ${path}`).toEqual(expected);
  expect(get.body.equals(content.bytes), `GET ${path}: the bytes`).toBe(true);
  expect(headOf(await client.request('HEAD', path, { headers })), `HEAD ${path}`).toEqual(expected);
}

function headOf(reply: Reply): object {
  return {
    status: reply.status,
    type: reply.header('Content-Type'),
    digest: reply.header('Docker-Content-Digest'),
    length: reply.header('Content-Length'),
  };
}
