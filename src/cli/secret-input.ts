import { createInterface } from 'node:readline';
import { StringDecoder } from 'node:string_decoder';
import { CommandError } from './command-error.ts';

/**
 * Asks for a password without showing it, twice when it is a new one; or reads the first line of standard input when that
 * is no terminal. Never from the arguments: those are seen by everybody on the machine.
 */
export async function readPassword({ repeat }: { repeat: boolean }): Promise<string> {
  if (!process.stdin.isTTY) return firstLine();
  const password = await ask('Password: ');
  if (repeat && (await ask('Repeat it: ')) !== password) throw new CommandError('the two passwords differ');
  return password;
}

async function firstLine(): Promise<string> {
  for await (const line of createInterface({ input: process.stdin })) return line;
  throw new CommandError('there is no password on standard input');
}

function ask(question: string): Promise<string> {
  return new Promise((resolve, reject) => {
    process.stderr.write(question);
    const { stdin } = process;
    let text = '';
    const decoder = new StringDecoder('utf8');
    const end = (settle: () => void) => {
      stdin.setRawMode(false);
      stdin.pause();
      stdin.off('data', take);
      process.stderr.write('\n');
      settle();
    };
    const take = (chunk: Buffer) => {
      for (const character of decoder.write(chunk)) {
        if (character === '\r' || character === '\n' || character === '\u0004') return end(() => resolve(text));
        if (character === '\u0003') return end(() => reject(new CommandError('interrupted')));
        if (character === '\u007f' || character === '\b') text = [...text].slice(0, -1).join('');
        else text += character;
      }
    };
    stdin.setRawMode(true);
    stdin.resume();
    stdin.on('data', take);
  });
}
