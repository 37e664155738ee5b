import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type LoginKind, type LoginRegistry, startWithLogin } from '../auth/login-registry.ts';
import { run } from '../harness/run.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { givenUrl, registryIsGiven, startRegistry } from '../harness/under-test.ts';
import { buildSuite } from './build.ts';
import { type Case, parseJunit, type Report } from './junit.ts';
import type { Suite } from './suites.ts';

export interface Profile {
  /** Appended to the suite's name; names the file of the results. */
  name: string;
  /** How the suite has to log in. Default: not at all. */
  login?: LoginKind;
  /** What the suite is told: where the registry is, where its reports go, what to test. */
  environment(registry: URL, reports: string): Record<string, string>;
}

/** Entries of the older suite's report that are its report writers and no tests. */
const reporters = /^(html|junit) custom reporter$/;

/**
 * Runs a suite once for each profile against the registry under test, and makes a test of each of its tests. To be
 * awaited at the top of a test file. Writes `.results/official-<name>.json`.
 */
export async function testSuite(suite: Suite, profiles: readonly Profile[]): Promise<void> {
  const folder = await temporaryFolder();
  try {
    const built = await buildSuite(suite, folder.path);
    for (const profile of profiles) {
      // Nobody has told how to log in to a registry that was given.
      if (profile.login !== undefined && registryIsGiven) continue;
      const name = [suite.name, profile.name, profile.login].filter(Boolean).join('-');
      if ('refused' in built) {
        await writeResults(name, { commit: suite.commit, refused: built.refused });
        console.log(`official suite ${name}: skipped: ${built.refused}`);
        test(name, ({ skip }) => skip(built.refused));
        continue;
      }
      const reports = join(folder.path, name);
      await mkdir(reports);
      const { code, report } = await runSuite(built.program, profile, reports);
      const cases = report.cases.filter((one) => !reporters.test(one.name));
      const count = (status: Case['status']) => cases.filter((one) => one.status === status).length;
      const counts = { passed: count('passed'), failed: count('failed'), skipped: count('skipped') };
      const { total } = report;
      await writeResults(name, { commit: suite.commit, source: built.source, ...counts, total, cases });
      console.log(
        `official suite ${name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped ` +
          `(by its own count: ${total.tests} tests, ${total.failures} failures, ${total.errors} errors)`,
      );
      describe(name, () => {
        for (const { name: caseName, status, message } of cases) {
          test(caseName, ({ skip }) => {
            if (status === 'skipped') skip(message);
            if (status === 'failed') throw new Error(message);
          });
        }
        test('has tests, and the suite itself is satisfied', () => {
          expect(counts.passed).toBeGreaterThan(0);
          expect({ code, failures: total.failures, errors: total.errors }).toEqual({ code: 0, failures: 0, errors: 0 });
        });
      });
    }
  } finally {
    await folder.remove();
  }
}

async function runSuite(program: string, profile: Profile, reports: string): Promise<{ code: number; report: Report }> {
  const server = await startFor(profile);
  try {
    const credentials = 'user' in server ? { OCI_USERNAME: server.user, OCI_PASSWORD: server.password } : {};
    const env = { ...profile.environment(new URL(server.url), reports), ...credentials };
    const { code, stdout, stderr } = await run(program, [], { cwd: reports, env, timeout: 600_000 });
    const xml = await readFile(join(reports, 'junit.xml'), 'utf8').catch((cause: unknown) => {
      throw new Error(`the suite ended with ${code} and left no report\n${stdout}\n${stderr}`, { cause });
    });
    return { code, report: parseJunit(xml) };
  } finally {
    await server.stop();
  }
}

function startFor({ login }: Profile): Promise<LoginRegistry | Pick<LoginRegistry, 'url' | 'stop'>> {
  if (login !== undefined) return startWithLogin(login);
  return givenUrl === undefined ? startRegistry() : Promise.resolve({ url: givenUrl, stop: async () => {} });
}

async function writeResults(name: string, results: object): Promise<void> {
  await mkdir('.results', { recursive: true });
  await writeFile(`.results/official-${name}.json`, `${JSON.stringify(results, null, 2)}\n`);
}
