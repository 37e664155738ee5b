import { expect, it } from 'vitest';
import { runProgram, startChild, stopChild } from './children.ts';

it('gives the output of a program', async () => {
  expect(await runProgram('sh', ['-c', 'echo one; echo two'])).toBe('one\ntwo\n');
});

it('fails with what the program said on its standard error', async () => {
  await expect(runProgram('sh', ['-c', 'echo no luck >&2; exit 3'])).rejects.toThrow('sh ended with 3: no luck');
});

it('fails when there is no such program', async () => {
  await expect(runProgram('/no/such/program', [])).rejects.toThrow('ENOENT');
});

it('ends the program when the run is given up', async () => {
  const giveUp = new AbortController();
  const run = runProgram('sleep', ['60'], { signal: giveUp.signal });
  giveUp.abort();
  await expect(run).rejects.toThrow();
});

it('ends a program that does not react', async () => {
  const child = await startChild('sh', ['-c', 'trap "" TERM; echo ready; while :; do sleep 0.1; done'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  await stopChild(child, 50);
  expect(child.signalCode).toBe('SIGKILL');
});
