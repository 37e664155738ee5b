import { beforeAll, describe, expect, test } from 'vitest';
import { descriptor, emptyJson, index } from '../harness/content.ts';
import type { Server } from '../harness/server.ts';
import { registryIsGiven, startRegistry } from '../harness/under-test.ts';
import { expectError, expectHeaders, expectStatus, nextPage } from './expectations.ts';
import { pushImage, pushManifest, putManifest, startUpload, withQuery } from './push.ts';
import { checkEveryResponse, connect, type Registry } from './registry.ts';

/** Runs `tests` against a server with these settings. @param before what is done to its storage before, without them */
function withSettings(
  name: string,
  config: object,
  tests: (registry: () => Registry, pushed: () => Awaited<ReturnType<typeof pushImage>>, repository: string) => void,
): void {
  const repository = 'some/repository';
  describe(name, () => {
    let registry: Registry;
    let pushed: Awaited<ReturnType<typeof pushImage>>;
    beforeAll(async () => {
      const plain = await startRegistry();
      const first = connect(plain.url);
      pushed = await pushImage(first, repository, 'latest');
      for (const tag of ['a', 'b', 'c']) await pushManifest(first, repository, index([]), tag);
      for (const other of ['other/1', 'other/2', 'other/3']) await pushImage(first, other, 'latest');
      // The storage outlives the server: stop it without its folder going.
      await plain.kill();
      const server: Server = await startRegistry({ config, dataDir: plain.dataDir });
      registry = connect(server.url);
      return async () => {
        await server.stop();
        await plain.stop();
      };
    });
    tests(
      () => registry,
      () => pushed,
      repository,
    );
  });
}

/** These need servers that are set up in their own way, so they are left out when a registry is given. */
describe.skipIf(registryIsGiven)('settings', () => {
  withSettings(
    'without deletion [distribution; OCI end-9, end-10]',
    { storage: { delete: null } },
    (registry, pushed, name) => {
      test('blobs, manifests and tags cannot be deleted', async () => {
        const { manifest, layer } = pushed();
        for (const target of [`blobs/${layer.digest}`, `manifests/${manifest.digest}`, 'manifests/latest']) {
          expectError(await registry().request('DELETE', `/v2/${name}/${target}`), [400, 405], 'UNSUPPORTED');
        }
        expectStatus(await registry().request('GET', `/v2/${name}/manifests/latest`), 200);
        expectStatus(await registry().request('GET', `/v2/${name}/blobs/${layer.digest}`), 200);
      });

      test('sessions can be cancelled', async () => {
        expectStatus(await registry().request('DELETE', await startUpload(registry(), name)), 204);
      });

      test('everything else works', async () => {
        await pushImage(registry(), 'more', 'latest');
        expectHeaders(await putManifest(registry(), name, 'x', index([], { subject: descriptor(emptyJson) })), {
          'OCI-Subject': emptyJson.digest,
        });
      });
    },
  );

  const readOnly = { storage: { maintenance: { readonly: { enabled: true } } } };
  withSettings('read-only [distribution]', readOnly, (registry, pushed, name) => {
    test('what is there can be read', async () => {
      const { manifest, layer } = pushed();
      const reply = await registry().request('GET', `/v2/${name}/manifests/latest`);
      expect(reply.body).toEqual(manifest.bytes);
      expectStatus(await registry().request('GET', `/v2/${name}/blobs/${layer.digest}`), 200);
      expectStatus(await registry().request('GET', `/v2/${name}/tags/list`), 200);
      expectStatus(await registry().request('GET', '/v2/_catalog'), 200);
    });

    test('nothing can be pushed or deleted', async () => {
      const { manifest, layer } = pushed();
      const refused = [
        await registry().request('POST', `/v2/${name}/blobs/uploads/`),
        await registry().request('POST', `/v2/other/blobs/uploads/?mount=${layer.digest}&from=${name}`),
        await registry().request('POST', `/v2/${name}/blobs/uploads/?digest=${layer.digest}`, { body: layer.bytes }),
        await putManifest(registry(), name, 'new', manifest),
        await registry().request('DELETE', `/v2/${name}/manifests/latest`),
        await registry().request('DELETE', `/v2/${name}/manifests/${manifest.digest}`),
        await registry().request('DELETE', `/v2/${name}/blobs/${layer.digest}`),
      ];
      for (const reply of refused) expectError(reply, 405, 'UNSUPPORTED');
      const tags = await registry().request('GET', `/v2/${name}/tags/list`);
      expect(tags.json()).toMatchObject({ tags: ['a', 'b', 'c', 'latest'] });
    });
  });

  const maxima = { catalog: { maxentries: 2 }, tags: { maxtags: 3 } };
  withSettings('with maxima [distribution 3]', maxima, (registry, _, name) => {
    test('a longer page of tags is cut, with a Link to the rest', async () => {
      const reply = await registry().request('GET', `/v2/${name}/tags/list?n=1000`);
      expect(reply.json()).toMatchObject({ tags: ['a', 'b', 'c'] });
      const rest = await registry().request('GET', nextPage(reply) ?? '');
      expect(rest.json()).toMatchObject({ tags: ['latest'] });
      expectHeaders(rest, { Link: undefined });
    });

    test('a longer page of the catalogue is cut, with a Link to the rest [berth]', async () => {
      const reply = await registry().request('GET', '/v2/_catalog?n=1000');
      expect(reply.json()).toEqual({ repositories: ['other/1', 'other/2'] });
      const rest = await registry().request('GET', nextPage(reply) ?? '');
      expect(rest.json()).toEqual({ repositories: ['other/3', name] });
    });
  });

  const headers = {
    http: { headers: { 'X-Content-Type-Options': ['nosniff'], 'Access-Control-Allow-Origin': ['*'] } },
  };
  withSettings('with headers of its own [distribution]', headers, (registry, pushed, name) => {
    test('every response has them', async () => {
      const { layer } = pushed();
      const replies = [
        await registry().request('GET', '/v2/'),
        await registry().request('HEAD', `/v2/${name}/manifests/latest`),
        await registry().request('GET', `/v2/${name}/manifests/missing`),
        await registry().request('GET', `/v2/${name}/blobs/${layer.digest}`),
        await registry().request('POST', `/v2/${name}/blobs/uploads/`),
        await registry().request('POST', `/v2/${name}/tags/list`),
        await registry().request('OPTIONS', '/v2/'),
      ];
      for (const reply of replies) {
        expectHeaders(reply, { 'X-Content-Type-Options': 'nosniff', 'Access-Control-Allow-Origin': '*' });
      }
    });
  });

  withSettings(
    'under a prefix [distribution]',
    { http: { prefix: '/a/prefix/', relativeurls: true } },
    (registry, pushed, name) => {
      test('the API is below it', async () => {
        expectStatus(await registry().request('GET', '/a/prefix/v2/'), 200);
        const reply = await registry().request('GET', `/a/prefix/v2/${name}/manifests/latest`);
        expect(reply.body).toEqual(pushed().manifest.bytes);
      });

      test('Location and Link have it', async () => {
        const opened = await registry().request('POST', `/a/prefix/v2/${name}/blobs/uploads/`);
        expect(opened.header('location')).toMatch(new RegExp(`^/a/prefix/v2/${name}/blobs/uploads/`));
        const target = withQuery(opened.header('location') ?? '', `digest=${emptyJson.digest}`);
        const pushedBlob = await registry().request('PUT', target, { body: emptyJson.bytes });
        expectHeaders(pushedBlob, { Location: `/a/prefix/v2/${name}/blobs/${emptyJson.digest}` });
        const tags = await registry().request('GET', `/a/prefix/v2/${name}/tags/list?n=1`);
        expectHeaders(tags, { Link: new RegExp(`^</a/prefix/v2/${name}/tags/list\\?`) });
      });
    },
  );

  withSettings('with relative URLs [distribution]', { http: { relativeurls: true } }, (registry, pushed, name) => {
    test('Location begins with a slash, whatever stands before the server', async () => {
      const headersOfProxy = { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'registry.example' };
      const opened = await registry().request('POST', `/v2/${name}/blobs/uploads/`, { headers: headersOfProxy });
      expectHeaders(opened, { Location: new RegExp(`^/v2/${name}/blobs/uploads/`) });
      const { layer } = pushed();
      const mounted = await registry().request('POST', `/v2/to/blobs/uploads/?mount=${layer.digest}&from=${name}`);
      expectHeaders(mounted, { Location: `/v2/to/blobs/${layer.digest}` });
    });
  });

  withSettings(
    'with a host of its own [distribution]',
    { http: { host: 'https://hub.example:8443' } },
    (registry, _, name) => {
      test('Location leads there, whatever stands before the server', async () => {
        const headersOfProxy = { 'X-Forwarded-Proto': 'http', 'X-Forwarded-Host': 'other.example' };
        const opened = await registry().request('POST', `/v2/${name}/blobs/uploads/`, { headers: headersOfProxy });
        expectHeaders(opened, { Location: new RegExp(`^https://hub\\.example:8443/v2/${name}/blobs/uploads/`) });
      });
    },
  );

  const proxies: readonly [name: string, headers: Record<string, string>, origin: string | undefined][] = [
    ['nothing', {}, undefined],
    ['X-Forwarded-Proto', { Host: 'reg.example', 'X-Forwarded-Proto': 'https' }, 'https://reg.example'],
    ['X-Forwarded-Host', { 'X-Forwarded-Host': 'reg.example' }, 'http://reg.example'],
    ['both', { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'reg.example' }, 'https://reg.example'],
    ['a port', { 'X-Forwarded-Host': 'reg.example:8443' }, 'http://reg.example:8443'],
    ['a list of hosts', { 'X-Forwarded-Host': 'reg.example, inner.example' }, 'http://reg.example'],
    ['Forwarded', { Forwarded: 'proto=https;host=reg.example' }, 'https://reg.example'],
    ['Forwarded, quoted', { Forwarded: 'proto=https;host="reg.example:8443"' }, 'https://reg.example:8443'],
    [
      'Forwarded, several',
      { Forwarded: 'proto=https;host=reg.example, proto=http;host=x.example' },
      'https://reg.example',
    ],
    [
      'Forwarded before the others',
      { Forwarded: 'host=reg.example', 'X-Forwarded-Host': 'x.example' },
      'http://reg.example',
    ],
    ['an IPv6 address', { 'X-Forwarded-Host': '[2001:db8::1]:8080' }, 'http://[2001:db8::1]:8080'],
  ];
  withSettings('with absolute URLs, behind a proxy [distribution; RFC 7239]', {}, (registry, _, name) => {
    for (const [what, sent, origin] of proxies) {
      test(`Location leads to where ${what} says`, async () => {
        const reply = await registry().request('POST', `/v2/${name}/blobs/uploads/`, { headers: sent });
        expectStatus(reply, 202);
        const location = reply.header('location') ?? '';
        // A location without a host leads there as well.
        if (location.startsWith('/')) return;
        expect(new URL(location).origin).toBe(origin ?? registry().url);
      });
    }

    for (const host of ['reg.example:99999', 'a b', 'a"b', '<script>', 'a/b', 'user@evil.example']) {
      test(`and not to ${host}`, async () => {
        const reply = await registry().request('POST', `/v2/${name}/blobs/uploads/`, {
          headers: { 'X-Forwarded-Host': host },
        });
        expectStatus(reply, 202, 400);
        expect(reply.header('location') ?? '').not.toMatch(/[<"\s]|evil\.example/);
      });
    }
  });
});

checkEveryResponse();
