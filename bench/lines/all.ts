import type { StorageKind } from '../storage/storage.ts';
import { imageScenario } from './images.ts';
import { memoryScenario, pullScenario, pushScenario } from './large-blobs.ts';
import type { Bench, Scenario } from './line.ts';
import { catalogueScenario, tagScenario } from './lists.ts';
import { redirectScenario } from './redirects.ts';
import { smallPushScenario } from './small-pushes.ts';

/** Everything that is measured, in the order of the table. */
export function allScenarios(bench: Bench, storage: StorageKind): Scenario[] {
  return storage === 's3' ? s3Scenarios(bench).map(withoutAims) : filesystemScenarios(bench);
}

function filesystemScenarios(bench: Bench): Scenario[] {
  return [
    imageScenario(bench),
    pullScenario(bench, [1, 8]),
    pushScenario(bench, 'POST+PATCH+PUT', 1),
    pushScenario(bench, 'POST+PATCH+PUT', 4),
    pushScenario(bench, 'POST+PUT', 1),
    pushScenario(bench, 'POST+PUT', 4),
    smallPushScenario(bench, 1),
    smallPushScenario(bench, 8),
    catalogueScenario(bench, 'wrk'),
    tagScenario(bench, 'wrk'),
    memoryScenario(bench, 32),
  ];
}

function s3Scenarios(bench: Bench): Scenario[] {
  return [
    imageScenario(bench),
    redirectScenario(bench),
    pullScenario(bench, [1, 4]),
    pushScenario(bench, 'POST+PATCH+PUT', 1),
    pushScenario(bench, 'POST+PATCH+PUT', 4),
    pushScenario(bench, 'POST+PUT', 1),
    pushScenario(bench, 'POST+PUT', 4),
    smallPushScenario(bench, 1, 4),
    smallPushScenario(bench, 8, 16),
    catalogueScenario(bench, { walkers: 1 }),
    tagScenario(bench, { walkers: 4 }),
    memoryScenario(bench, 16),
  ];
}

/** The aims are meant for a local disk. */
function withoutAims(scenario: Scenario): Scenario {
  return { ...scenario, lines: scenario.lines.map(({ aim: _, ...line }) => line) };
}

/** Only the lines whose name matches, without the scenarios that are left with none. */
export function selectLines(scenarios: readonly Scenario[], pattern: RegExp): Scenario[] {
  return scenarios
    .map((scenario) => ({ ...scenario, lines: scenario.lines.filter((line) => pattern.test(line.name)) }))
    .filter((scenario) => scenario.lines.length > 0);
}
