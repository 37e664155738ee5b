import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'vitest';
import { projectRoot } from '../harness/project-root.ts';
import { run } from '../harness/run.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { startReplicas } from './replicas.ts';

/** The part of the runner's report that is used here. */
interface Report {
  testResults: { name: string; message: string; assertionResults: Result[] }[];
}

interface Result {
  fullName: string;
  status: string;
  failureMessages: string[];
}

/** Without what nginx answers itself: paths that are none, and bodies and connections that are broken off. */
const ofNginx = /an encoding that is broken|no path leads out|a zero byte|larger ones are 413/;
const selection = [
  'conformance/api',
  // `settings` and `restart` start servers of their own.
  ...['connections', 'settings', 'restart', 'redirects'].flatMap((n) => ['--exclude', `conformance/api/${n}.test.ts`]),
  ...['--testNamePattern', `^(?!.*(${ofNginx.source}))`],
];
/** The official suites too, where their sources are at hand. */
if (process.env.CONFORMANCE_SUITES !== undefined) selection.unshift('conformance/official');

/** The conformance tests against the balancer, each of whose requests goes to another replica than the one before. */
async function conformance(): Promise<{ report: Report; output: string }> {
  const folder = await temporaryFolder('berth-behind-');
  const replicas = await startReplicas('s3');
  try {
    const file = join(folder.path, 'report.json');
    const runner = join(projectRoot(), 'node_modules/vitest/vitest.mjs');
    const args = ['run', '--config', '.config/vitest.ts', '--project', 'conformance', ...selection];
    const outer = Object.keys(process.env).filter((name) => /^(VITEST|BERTH_)/.test(name));
    const { stdout, stderr } = await run(
      process.execPath,
      [runner, ...args, '--reporter=json', `--outputFile=${file}`],
      {
        cwd: projectRoot(),
        env: { ...Object.fromEntries(outer.map((name) => [name, undefined])), BERTH_URL: replicas.balancer.url },
        timeout: 600_000,
      },
    );
    return { report: JSON.parse(await readFile(file, 'utf8')) as Report, output: stdout + stderr };
  } finally {
    await replicas.stop();
    await folder.remove();
  }
}

const { report, output } = await conformance();

describe('conformance behind the balancer', () => {
  for (const { name, message, assertionResults } of report.testResults) {
    describe(name.slice(projectRoot().length + 1), () => {
      if (assertionResults.length === 0) {
        test('has tests', () => {
          throw new Error(`${message}\n${output}`);
        });
      }
      for (const { fullName, status, failureMessages } of assertionResults) {
        if (ofNginx.test(fullName)) continue;
        test(fullName, ({ skip }) => {
          if (status === 'failed') throw new Error(failureMessages.join('\n'));
          if (status !== 'passed') skip('skipped by the suite');
        });
      }
    });
  }
});
