// Adds up what the runner counted in its reports, which are named as arguments (each case of the official suites is a
// test of the runner, too). A report that is missing or counts nothing is a failure.
import { readFileSync } from 'node:fs';

const sum = { passed: 0, failed: 0, skipped: 0 };
let broken = false;

function add(name, counts) {
  console.log(`${name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  if (counts.passed + counts.failed === 0 && counts.skipped === 0) broken = true;
  for (const key of Object.keys(sum)) sum[key] += counts[key];
}

for (const name of process.argv.slice(2)) {
  try {
    const report = JSON.parse(readFileSync(`.results/${name}.json`, 'utf8'));
    add(name, {
      passed: report.numPassedTests,
      // A file that could not be loaded has no tests, but has failed.
      failed: report.numFailedTests + report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length,
      skipped: report.numPendingTests + report.numTodoTests,
    });
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
