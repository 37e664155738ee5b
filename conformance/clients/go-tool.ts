import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, beforeEach } from 'vitest';
import { projectRoot } from '../harness/project-root.ts';
import { requireTool } from '../harness/require-tool.ts';
import { run } from '../harness/run.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { outputOf } from './command.ts';

/** Clients that are built from source, as Go modules: a program of the module, or one of ours that uses it. */
const tools = {
  'buildkit-pull': {
    module: 'github.com/moby/buildkit',
    version: 'v0.34.2',
    source: 'conformance/mirror/buildkit-pull',
  },
  cosign: { module: 'github.com/sigstore/cosign/v2', version: 'v2.6.5', path: 'cmd/cosign' },
  crane: { module: 'github.com/google/go-containerregistry', version: 'v0.22.1', path: 'cmd/crane' },
  helm: { module: 'helm.sh/helm/v3', version: 'v3.22.0', path: 'cmd/helm' },
  oras: { module: 'oras.land/oras', version: 'v1.2.3', path: 'cmd/oras' },
  regctl: { module: 'github.com/regclient/regclient', version: 'v0.11.7', path: 'cmd/regctl' },
} as const;

/** Programs stay here, each under its name and version, until `node_modules` goes. */
const cache = fileURLToPath(new URL('../../node_modules/.cache/go-clients', import.meta.url));

/** In milliseconds: the largest takes some minutes on two cores where nothing is cached. */
const buildLimit = 20 * 60_000;

export interface GoTool {
  /** Of the program; set when the tests run. */
  path: string;
}

/**
 * Builds a client before the tests of this file. Where the module proxy refuses the module the tests are skipped with
 * the proxy's own words; every other fault fails them.
 */
export function useGoTool(name: keyof typeof tools): GoTool {
  const tool: GoTool = { path: '' };
  let refusal: string | undefined;
  beforeAll(async () => {
    const built = await build(name);
    if ('path' in built) tool.path = built.path;
    else refusal = built.refusal;
  }, buildLimit);
  beforeEach(({ skip }) => {
    if (refusal !== undefined) skip(`${name} cannot be built: ${refusal}`);
  });
  return tool;
}

async function build(name: keyof typeof tools): Promise<{ path: string } | { refusal: string }> {
  const tool = tools[name];
  const { module, version } = tool;
  const source = 'source' in tool ? await readFile(join(projectRoot(), tool.source, 'main.go')) : undefined;
  const edition = source === undefined ? '' : `-${createHash('sha256').update(source).digest('hex').slice(0, 8)}`;
  const program = join(cache, `${name}-${version}${edition}`);
  if (existsSync(program)) return { path: program };
  const go = requireTool('go');
  const folder = await temporaryFolder('berth-go-');
  const options = { cwd: folder.path, env: { CGO_ENABLED: '0', GOFLAGS: '-mod=mod' }, timeout: buildLimit };
  try {
    if (source !== undefined) await writeFile(join(folder.path, 'main.go'), source);
    // A module of its own that needs nothing but this version; the checksum database vouches for what is loaded.
    for (const args of [
      ['mod', 'init', 'clients'],
      ['mod', 'edit', `-require=${module}@${version}`],
      ['build', '-o', name, 'source' in tool ? '.' : `${module}/${tool.path}`],
    ]) {
      const result = await run(go, args, options);
      if (result.code === 0) continue;
      const refusal = /reading \S+: (403 Forbidden|410 Gone).*/s.exec(result.stderr)?.[0];
      if (refusal !== undefined) return { refusal: refusal.trim() };
      throw new Error(`go ${args.join(' ')}\n${outputOf(result)}`);
    }
    await mkdir(cache, { recursive: true });
    await copyFile(join(folder.path, name), `${program}.new`);
    await rename(`${program}.new`, program);
    return { path: program };
  } finally {
    await folder.remove();
  }
}
