// The common part of the JavaScript drivers; the plan and the facts are those of steps.py.
import { readFileSync } from "node:fs";

export async function run(drive) {
  const facts = await drive(JSON.parse(readFileSync(0, "utf8")));
  process.stdout.write("\n" + JSON.stringify(facts) + "\n", () => process.exit(0));
}

export async function taken(plan, call) {
  const calls = {};
  for (const step of plan.steps) {
    for (let time = 0; time < (step.times ?? 1); time++) {
      const [shown, mark] = await call(step.tool, step.arguments);
      const seen = typeof shown === "string" ? shown : JSON.stringify(shown);
      calls[step.name] = { seen, error: mark };
      if (seen.replaceAll(" ", "").replaceAll("\\", "").includes(step.until ?? "")) break;
    }
  }
  return calls;
}

export async function offered(plan, ways) {
  const got = {};
  if (plan.offered) {
    for (const [what, way] of Object.entries(ways)) got[what] = JSON.stringify(await way(plan.offered));
  }
  return got;
}
