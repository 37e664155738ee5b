import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  paginateListObjectsV2,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterEach, describe, expect, test } from 'vitest';
import { createRegistryClient } from '../clients/raw/registry-client.ts';
import { atExit } from '../harness/at-exit.ts';
import { blob } from '../harness/content.ts';
import type { Reply } from '../harness/http-client.ts';
import { s3Server } from '../harness/s3-server.ts';
import { berthCommand, freePort } from '../harness/server.ts';
import { storageSection } from '../harness/storage.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';

const cleanUp: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const task of cleanUp.splice(0).reverse()) await task();
});

/** Starts berth without waiting for anything. @param s3 laid over the section of the driver */
async function startUnready(s3: object) {
  const folder = await temporaryFolder('berth-faults-');
  const addr = `127.0.0.1:${await freePort()}`;
  const section = (await storageSection('s3', folder.path, false)) as { s3: object };
  const config = { version: '0.1', http: { addr }, storage: { ...section, s3: { ...section.s3, ...s3 } } };
  const configFile = join(folder.path, 'config.yml');
  await writeFile(configFile, JSON.stringify(config));
  const [program, ...args] = berthCommand();
  const { PATH, HOME } = process.env;
  const child = spawn(program, [...args, 'serve', configFile], {
    env: { PATH, HOME },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const forget = atExit(() => child.kill('SIGKILL'));
  let logs = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      logs += text;
    });
  }
  const exited = once(child, 'close');
  const client = createRegistryClient(`http://${addr}`);
  cleanUp.push(async () => {
    client.close();
    child.kill('SIGTERM');
    await exited;
    forget();
    await folder.remove();
  });
  return {
    client,
    logs: () => logs,
    /** Resolves when the log, which is written in pieces, has this. */
    async logged(text: string): Promise<void> {
      while (!logs.includes(text)) {
        if (child.exitCode !== null) throw new Error(`berth ended without "${text}":\n${logs}`);
        await delay(100);
      }
    },
    /** Asks until the reply is one that is waited for. */
    async until(path: string, wanted: (reply: Reply) => boolean): Promise<Reply> {
      for (;;) {
        const reply = await client.request('GET', path).catch(() => undefined);
        if (reply !== undefined && wanted(reply)) return reply;
        if (child.exitCode !== null) throw new Error(`berth ended:\n${logs}`);
        await delay(100);
      }
    },
  };
}

async function expectServing({ client, until }: Awaited<ReturnType<typeof startUnready>>): Promise<void> {
  await until('/readyz', ({ status }) => status === 200);
  const content = blob('served');
  await client.pushBlob('some/repository', content);
  expect((await client.getBlob('some/repository', content.digest)).body.equals(content.bytes)).toBe(true);
}

describe('a registry whose storage is not there when it starts', () => {
  test('waits for one that does not listen yet, says so, and serves as soon as it does', async () => {
    const port = await freePort();
    const berth = await startUnready({ regionendpoint: `http://127.0.0.1:${port}` });
    const unready = await berth.until('/readyz', ({ text }) => text.includes('reason'));
    expect(unready.status).toBe(503);
    expect(unready.json()).toEqual({ status: 'starting', reason: 'the storage does not answer' });
    expect((await berth.client.request('GET', '/healthz')).status).toBe(200);
    const refused = await berth.client.request('GET', '/v2/');
    expect([refused.status, refused.header('Retry-After')]).toEqual([503, expect.stringMatching(/^\d+$/)]);
    await berth.logged('the storage cannot be used yet');
    await berth.logged('ECONNREFUSED');

    const proxy: FaultProxy = await startFaultProxy(port);
    cleanUp.unshift(() => proxy.stop());
    await expectServing(berth);
  });

  test('says which key of the configuration is wrong when the secret key is, and keeps it to itself', async () => {
    const secretkey = 'this-is-not-the-secret-key-of-anybody';
    const berth = await startUnready({ secretkey });
    const unready = await berth.until('/readyz', ({ text }) => text.includes('reason'));
    expect(unready.status).toBe(503);
    expect(unready.json()).toEqual({
      status: 'starting',
      reason: 'the storage refuses the credentials, or does not allow it',
    });
    await berth.logged('mend storage.s3.secretkey');
    expect(berth.logs()).not.toContain(secretkey);
    expect(berth.logs()).not.toMatch(/Signature=[0-9a-f]/);
  });

  test('says which bucket is missing, and serves as soon as somebody has made it', async () => {
    const bucket = `berth-late-${process.pid}-${Date.now()}`;
    const berth = await startUnready({ bucket });
    const unready = await berth.until('/readyz', ({ text }) => text.includes('reason'));
    expect(unready.status).toBe(503);
    expect(unready.json()).toEqual({
      status: 'starting',
      reason: 'the bucket does not exist, or is in another region',
    });
    await berth.logged(`there is no bucket ${bucket}`);

    const { endpoint, region, accessKey, secretKey } = await s3Server();
    const credentials = { accessKeyId: accessKey, secretAccessKey: secretKey };
    const client = new S3Client({ endpoint, region, forcePathStyle: true, credentials });
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    cleanUp.unshift(async () => {
      for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket: bucket })) {
        for (const { Key } of Contents) await client.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
      }
      await client.send(new DeleteBucketCommand({ Bucket: bucket }));
      client.destroy();
    });
    await expectServing(berth);
  });
});
