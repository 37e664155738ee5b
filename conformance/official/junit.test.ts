import { describe, expect, test } from 'vitest';
import { parseJunit } from './junit.ts';

const older = `<?xml version="1.0" encoding="UTF-8"?>
  <testsuites tests="3" disabled="1" errors="0" failures="1" time="0.3">
      <testsuite name="conformance tests" tests="3" failures="1">
          <testcase name="Pull &#34;x&#34;" classname="conformance tests" status="passed" time="0.02">
              <system-err>&gt; Enter [It] &#xA;&lt; Exit</system-err>
          </testcase>
          <testcase name="Push" classname="conformance tests" status="failed" time="0.02">
              <failure message="Expected&#xA;  202" type="failed">[FAILED] Expected&#xA;    &lt;int&gt;: 202</failure>
              <system-err>noise</system-err>
          </testcase>
          <testcase name="Setup" classname="conformance tests" status="skipped" time="0.02">
              <skipped message="skipped - you have skipped this test."></skipped>
          </testcase>
      </testsuite>
  </testsuites>`;

const newer = `<testsuites time="5.0" tests="9" failures="2" skipped="1">
  <testsuite name="OCI Conformance Test" tests="9" failures="2" errors="0" skipped="1" time="5.0">
    <testcase name="OCI Conformance Test/ping" classname="" time="0.1" status="passed">
      <system-err>~~~ REQUEST ~~~&#xA;</system-err>
    </testcase>
    <testcase name="OCI Conformance Test/empty" classname="" time="0.1" status="failure">
      <system-out>expected one of [200], received 404</system-out>
      <system-err>noise</system-err>
    </testcase>
    <testcase name="OCI Conformance Test/post" classname="" time="0.1" status="skipped">
      <system-out>registry does not support it</system-out>
    </testcase>
    <testcase name="OCI Conformance Test/engine" classname="" time="0.1" status="error"></testcase>
  </testsuite>
</testsuites>`;

describe('the report of a suite', () => {
  test('of the released specification', () => {
    expect(parseJunit(older)).toEqual({
      cases: [
        { name: 'Pull "x"', status: 'passed', message: '' },
        { name: 'Push', status: 'failed', message: '[FAILED] Expected\n    <int>: 202' },
        { name: 'Setup', status: 'skipped', message: 'skipped - you have skipped this test.' },
      ],
      total: { tests: 3, failures: 1, errors: 0 },
    });
  });

  test('of the main branch, where anything that is neither passed nor skipped has failed', () => {
    expect(parseJunit(newer)).toEqual({
      cases: [
        { name: 'OCI Conformance Test/ping', status: 'passed', message: '' },
        { name: 'OCI Conformance Test/empty', status: 'failed', message: 'expected one of [200], received 404' },
        { name: 'OCI Conformance Test/post', status: 'skipped', message: 'registry does not support it' },
        { name: 'OCI Conformance Test/engine', status: 'failed', message: 'error' },
      ],
      total: { tests: 9, failures: 2, errors: 0 },
    });
  });

  test('that is none is refused', () => {
    expect(() => parseJunit('<html></html>')).toThrow('not a JUnit report');
  });
});
