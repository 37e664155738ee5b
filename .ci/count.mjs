// Adds up what the runner counted in its reports, which are named as arguments (each case of the official suites is a
// test of the runner, too), and says last what failed, where, and why: whoever sees only the end of the output sees
// that. A report that is missing or counts nothing is a failure.
import { readFileSync } from 'node:fs';

const sum = { passed: 0, failed: 0, skipped: 0 };
let broken = false;

/** The tests that failed, and the files that could not be loaded, which have no tests. */
function failures(report) {
  return report.testResults.flatMap((file) => {
    const tests = file.assertionResults.filter((test) => test.status === 'failed');
    if (tests.length > 0) return tests.map((test) => [`${file.name}: ${test.fullName}`, test.failureMessages.join('\n')]);
    return file.status === 'failed' && file.assertionResults.length === 0 ? [[file.name, file.message]] : [];
  });
}

function add(name, report) {
  const failed = failures(report);
  for (const [where, why] of failed) console.log(`${name}: FAILED ${where}\n${why.split('\n').slice(0, 12).join('\n')}`);
  const counts = {
    passed: report.numPassedTests,
    failed: failed.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
  console.log(`${name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  if (counts.passed + counts.failed === 0 && counts.skipped === 0) broken = true;
  for (const key of Object.keys(sum)) sum[key] += counts[key];
}

for (const name of process.argv.slice(2)) {
  try {
    add(name, JSON.parse(readFileSync(`.results/${name}.json`, 'utf8')));
  } catch (error) {
    console.log(`${name}: no report (${error.message})`);
    sum.failed++;
    broken = true;
  }
}
// What has no report of its own: types, format, lint.
if ((process.env.FAILED_STEPS ?? '').split(' ').includes('check')) sum.failed++;

console.log(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
process.exitCode = broken || sum.failed > 0 || sum.passed === 0 ? 1 : 0;
