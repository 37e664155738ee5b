import { imageScenario } from './images.ts';
import { memoryScenario, pullScenario, pushScenario } from './large-blobs.ts';
import type { Bench, Scenario } from './line.ts';
import { catalogueScenario, tagScenario } from './lists.ts';
import { smallPushScenario } from './small-pushes.ts';

/** Everything that is measured, in the order of the table. */
export function allScenarios(bench: Bench): Scenario[] {
  return [
    imageScenario(bench),
    pullScenario(bench),
    pushScenario(bench, 'POST+PATCH+PUT', 1),
    pushScenario(bench, 'POST+PATCH+PUT', 4),
    pushScenario(bench, 'POST+PUT', 1),
    pushScenario(bench, 'POST+PUT', 4),
    smallPushScenario(bench, 1),
    smallPushScenario(bench, 8),
    catalogueScenario(bench),
    tagScenario(bench),
    memoryScenario(bench),
  ];
}

/** Only the lines whose name matches, without the scenarios that are left with none. */
export function selectLines(scenarios: readonly Scenario[], pattern: RegExp): Scenario[] {
  return scenarios
    .map((scenario) => ({ ...scenario, lines: scenario.lines.filter((line) => pattern.test(line.name)) }))
    .filter((scenario) => scenario.lines.length > 0);
}
