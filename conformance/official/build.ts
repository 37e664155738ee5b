import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { requireTool } from '../harness/require-tool.ts';
import { type RunResult, run } from '../harness/run.ts';
import { modulePath, type Suite } from './suites.ts';

/** A suite as a program, or why there is none. */
export type Built =
  | { readonly program: string; readonly source: string }
  /** The module proxy's own words. */
  | { readonly refused: string };

/**
 * Compiles a suite: from `CONFORMANCE_SUITES` where that is set, otherwise from the Go module proxy.
 *
 * @param folder where the program and what it needs are put
 * @returns `refused` when the module proxy answers that it does not hand out the module
 * @throws Error when Go is not installed, or when anything else goes wrong
 */
export async function buildSuite(suite: Suite, folder: string): Promise<Built> {
  const go = requireTool('go');
  const program = join(folder, 'suite');
  // No version control information: the sources may lie in a repository that is none of theirs.
  const env = { GOFLAGS: '-buildvcs=false' };
  const suites = process.env.CONFORMANCE_SUITES;
  if (suites !== undefined) {
    const cwd = join(suites, suite.folder);
    await access(cwd).catch((cause: unknown) => {
      throw new Error(`CONFORMANCE_SUITES has no folder ${suite.folder} with the suite at ${suite.commit}`, { cause });
    });
    succeed(await run(go, [...suite.build, '-o', program, '.'], { cwd, env }));
    return { program, source: 'CONFORMANCE_SUITES' };
  }

  await writeFile(join(folder, 'go.mod'), 'module conformance.invalid/run\n');
  const got = await run(go, ['get', '-t', `${modulePath}@${suite.commit}`], { cwd: folder, env });
  if (got.code !== 0 && /\b(403 Forbidden|404 Not Found|410 Gone)\b/.test(got.stderr)) {
    return { refused: got.stderr.trim().replaceAll(/\s+/g, ' ') };
  }
  succeed(got);
  succeed(await run(go, [...suite.build, '-o', program, modulePath], { cwd: folder, env }));
  return { program, source: 'Go module proxy' };
}

function succeed({ code, stdout, stderr }: RunResult): void {
  if (code !== 0) throw new Error(`go ended with ${code}\n${stdout}\n${stderr}`);
}
