import { request } from 'node:http';

/*
 * A storm of logins, as a process of its own: wrong passwords of many accounts from many addresses, so that the slowing down of
 * those who guess is not what is measured. Arguments: port, logins in a second. Ends with its parent.
 */

const [port = 0, rate = 0] = process.argv.slice(2).map(Number);
process.once('disconnect', () => process.exit(0));

let sent = 0;
const answers: Record<string, number> = {};
setInterval(() => {
  for (let count = 0; count < rate / 50; count++) {
    const number = sent++;
    const localAddress = `127.${1 + (number % 200)}.${(number >> 8) % 250}.${1 + (number % 250)}`;
    const auth = `user${number % 5000}:guess-${number}`;
    const ask = request(
      { host: '127.0.0.1', port, path: '/auth/token', localAddress, auth, timeout: 30_000 },
      (reply) => {
        answers[reply.statusCode ?? 0] = (answers[reply.statusCode ?? 0] ?? 0) + 1;
        reply.resume();
      },
    );
    ask.on('error', () => {
      answers.failed = (answers.failed ?? 0) + 1;
    });
    ask.end();
  }
}, 20);
process.on('message', () => process.send?.({ sent, answers }));
