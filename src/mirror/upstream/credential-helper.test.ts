import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createCredentialHelper } from './credential-helper.ts';

let folder: string;
let command: string;
let time = 0;
const now = () => time;
const hub = new URL('https://auth.docker.io/token?service=registry.docker.io');
const other = new URL('http://127.0.0.1:5000');

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-helper-'));
  command = join(folder, 'docker-credential-test');
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(() => rm(join(folder, 'asked'), { force: true }));

/** A helper that writes down what it is asked. @param body shell, with the server in $server */
async function helper(body: string): Promise<void> {
  const script = `#!/bin/sh\nserver=$(cat)\necho "$1 $server" >> '${folder}/asked'\n${body}\n`;
  await writeFile(command, script, { mode: 0o755 });
}

const asked = async () => (await readFile(join(folder, 'asked'), 'utf8')).trim().split('\n');
const answer = `printf '{"ServerURL":"%s","Username":"alice","Secret":"of %s"}\\n' "$server" "$server"`;

test('is asked for the server to which they are sent, once without a lifetime', async () => {
  await helper(answer);
  const credentials = createCredentialHelper({ command, lifetime: undefined, now });
  const both = await Promise.all([credentials(hub), credentials(hub)]);
  time += 1e12;
  expect([...both, await credentials(hub)]).toEqual(
    Array.from({ length: 3 }, () => ({ username: 'alice', password: 'of auth.docker.io' })),
  );
  expect(await credentials(other)).toEqual({ username: 'alice', password: 'of 127.0.0.1:5000' });
  expect(await asked()).toEqual(['get auth.docker.io', 'get 127.0.0.1:5000']);
});

test('is asked again after its lifetime, each time when that is 0', async () => {
  await helper(answer);
  const credentials = createCredentialHelper({ command, lifetime: 1000, now });
  for (const wait of [0, 999, 1, 500]) {
    time += wait;
    await credentials(hub);
  }
  expect(await asked()).toHaveLength(2);
  const each = createCredentialHelper({ command, lifetime: 0, now });
  for (let count = 0; count < 3; count += 1) await each(hub);
  expect(await asked()).toHaveLength(5);
});

test('one that knows nothing of the server gives nothing, and may know later', async () => {
  await helper("echo 'credentials not found in native keychain'; exit 1");
  const credentials = createCredentialHelper({ command, lifetime: undefined });
  expect(await credentials(hub)).toBeUndefined();
  await helper(answer);
  expect(await credentials(hub)).toMatchObject({ username: 'alice' });
});

test.each([
  ['fails', `echo 'no valid providers'; exit 3`, /failed with 3: no valid providers$/],
  ['fails with an answer', `echo '{"Secret":"geheimnis"}'; exit 3`, /failed with 3$/],
  ['does not read its input', `exec 0<&-; exit 4`, /failed with 4$/],
  ['writes no JSON', 'echo geheimnis', /wrote no Username and Secret$/],
  ['writes other JSON', `echo '{"Username":"geheimnis"}'`, /wrote no Username and Secret$/],
  ['does not end, nor does what it started', 'sleep 30 & sleep 30', /did not end within 1000 ms$/],
])('one that %s is an error', async (_, body, message) => {
  await helper(body);
  const credentials = createCredentialHelper({ command, lifetime: 0, timeout: 1000 });
  const error: unknown = await credentials(hub).catch((error: unknown) => error);
  expect(String(error)).toMatch(message);
  expect(String(error)).not.toContain('geheimnis');
});

test('one that is not there is an error with its name', async () => {
  const credentials = createCredentialHelper({ command: join(folder, 'nowhere'), lifetime: 0 });
  await expect(credentials(hub)).rejects.toThrow(/nowhere failed with ENOENT$/);
});
