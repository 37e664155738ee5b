import { type Artifact, imageOf, noise } from '../clients/raw/artifact.ts';
import type { BlobPush, RegistryClient } from '../clients/raw/registry-client.ts';
import { blob, type Content } from '../harness/content.ts';
import type { Reply } from '../harness/http-client.ts';

const ways: readonly BlobPush[] = ['whole', 'stream', 'chunks'];

/** What clients did to a registry, and what it told them. */
export class Workload {
  /** Images that were acknowledged, under their own tags. */
  readonly images: { readonly repository: string; readonly tag: string; readonly image: Artifact }[] = [];
  readonly blobs: { readonly repository: string; readonly blob: Content }[] = [];
  /** What no client should ever get. */
  readonly wrong: string[] = [];
  /** Requests that ended with 503, and those whose connection broke. */
  readonly failures = { unavailable: 0, broken: 0 };
  #count = 0;

  /** Whether a reply may come from a registry whose storage fails now and then. */
  readonly onReply = (reply: Reply): void => {
    if (reply.status === 503) {
      this.failures.unavailable += 1;
      if (reply.header('Retry-After') === undefined) this.wrong.push(`${reply}: no Retry-After`);
    } else if (reply.status >= 400) this.wrong.push(String(reply));
  };

  /** Pushes and pulls by turns until then. */
  async run(client: RegistryClient, random: () => number, until: number): Promise<void> {
    while (Date.now() < until) {
      try {
        if (random() < 0.5 || this.images.length === 0) await this.#push(client, random);
        else await this.#pull(client, random);
      } catch (error) {
        // Replies have been looked at; what has none is a connection that broke.
        if (error instanceof Error && 'code' in error) this.failures.broken += 1;
        else if (!/→ 503 /.test(String(error))) this.wrong.push(String(error));
      }
    }
  }

  /** Pulls everything that was acknowledged. @returns what is not as it was pushed */
  async verify(client: RegistryClient): Promise<string[]> {
    const lost: string[] = [];
    for (const { repository, blob } of this.blobs) {
      const reply = await client.getBlob(repository, blob.digest);
      if (reply.status !== 200 || !reply.body.equals(blob.bytes))
        lost.push(`${reply.status} ${repository} ${blob.digest}`);
    }
    for (const { repository, tag, image } of this.images) {
      const reply = await client.getManifest(repository, tag);
      if (reply.status !== 200 || !reply.body.equals(image.manifest.bytes))
        lost.push(`${reply.status} ${repository}:${tag}`);
    }
    return lost;
  }

  async #push(client: RegistryClient, random: () => number): Promise<void> {
    this.#count += 1;
    const [tag, repository] = [`t${this.#count}`, `faults/r${this.#count % 5}`];
    const size = random() < 0.3 ? 6_000_000 + random() * 20_000_000 : 1000 + random() * 500_000;
    const image = imageOf([blob(noise(tag, Math.floor(size))), blob(noise(`${tag}/small`, 2000))]);
    for (const each of image.blobs) {
      await client.pushBlob(repository, each, ways[Math.floor(random() * ways.length)]);
      this.blobs.push({ repository, blob: each });
    }
    await client.pushManifest(repository, tag, image.manifest);
    this.images.push({ repository, tag, image });
  }

  async #pull(client: RegistryClient, random: () => number): Promise<void> {
    const { repository, tag, image } = this.images[Math.floor(random() * this.images.length)] ?? {};
    if (repository === undefined || tag === undefined || image === undefined) return;
    const manifest = await client.getManifest(repository, tag);
    if (manifest.status === 200) this.#compare(manifest, image.manifest);
    for (const each of image.blobs) {
      const reply = await client.getBlob(repository, each.digest);
      if (reply.status === 200) this.#compare(reply, each);
    }
    await client.request('GET', `/v2/${repository}/tags/list`);
    await client.request('HEAD', `/v2/${repository}/manifests/${tag}`);
  }

  #compare(reply: Reply, content: Content): void {
    if (!reply.body.equals(content.bytes))
      this.wrong.push(`${reply.request}: 200 with ${reply.body.length} other bytes`);
  }
}
