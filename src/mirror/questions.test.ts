import { expect, test } from 'vitest';
import { Questions } from './questions.ts';
import { UpstreamSlots } from './slots.ts';

/** A question that is answered when the test says so, and what became of it. */
function held() {
  let answer: (text: string) => void = () => {};
  const asked: AbortSignal[] = [];
  const ask = (signal: AbortSignal) => {
    asked.push(signal);
    return new Promise<string>((resolve, reject) => {
      answer = resolve;
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  };
  return { ask, asked, answer: (text: string) => answer(text) };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const questions = (count = 1) => new Questions<string>(new UpstreamSlots(count));

test('all who ask the same while it is asked hear one answer', async () => {
  const { ask, asked, answer } = held();
  const all = questions();
  const heard = [1, 2, 3].map(() => all.of('a', 'key', ask).answer());
  await turn();
  answer('yes');
  expect(await Promise.all(heard)).toEqual(['yes', 'yes', 'yes']);
  expect(asked).toHaveLength(1);
  expect(asked[0]?.aborted).toBe(false);
});

test('a question that goes on is not given up when it has been asked', async () => {
  const { ask, asked, answer } = held();
  const all = questions();
  const question = all.of('a', 'key', ask);
  await question.heardBy(async () => {
    await turn();
    question.goOn();
  });
  const next = all.of('a', 'key', ask).answer();
  answer('yes');
  expect(await next).toBe('yes');
  expect(asked).toHaveLength(1);
});

test('one that has not been asked yet is, and leaves its place', async () => {
  const first = held();
  const second = held();
  const all = questions();
  const heard = all.of('a', 'first', first.ask).answer();
  const question = all.of('a', 'second', second.ask);
  await question.heardBy(async () => {
    await turn();
    question.goOn();
  });
  first.answer('yes');
  expect(await heard).toBe('yes');
  await turn();
  expect(second.asked).toEqual([]);
  const third = held();
  const last = all.of('a', 'third', third.ask).answer();
  await turn();
  third.answer('there is a place');
  expect(await last).toBe('there is a place');
});

test('who is slow keeps nobody from another upstream', async () => {
  const slow = held();
  const all = questions();
  void all.of('a', 'key', slow.ask).answer();
  expect(await all.of('b', 'other', async () => 'yes').answer()).toBe('yes');
  slow.answer('at last');
});
