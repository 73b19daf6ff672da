// The TypeScript SDK, 2.x: `Client`, which asks for the newer protocol first in the mode `auto`.
import { Client, SSEClientTransport, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { offered, run, taken } from "./steps.mjs";

await run(async (plan) => {
  const asked = [];
  const versionNegotiation = { mode: plan.era === "older" ? "legacy" : "auto" };
  const known = { capabilities: { elicitation: { form: {} } }, versionNegotiation };
  const client = new Client({ name: "driver", version: "2" }, known);
  client.setRequestHandler("elicitation/create", async (request) => {
    asked.push(request.params.message);
    return { action: "accept", content: { approve: true } };
  });
  const options = { requestInit: { headers: plan.headers } };
  const wire = {
    stdio: () => new StdioClientTransport({ command: plan.command, args: plan.args, env: plan.env }),
    http: () => new StreamableHTTPClientTransport(new URL(plan.url), options),
    sse: () => new SSEClientTransport(new URL(plan.url), options),
  }[plan.transport]();
  await client.connect(wire);
  const { tools } = await client.listTools();
  const calls = await taken(plan, async (name, given) => {
    const result = await client.callTool({ name, arguments: given });
    return [result, result.isError ? "isError" : ""];
  });
  const also = await offered(plan, {
    resources: () => client.listResources(),
    resource: (named) => client.readResource({ uri: named.resource }),
    prompts: () => client.listPrompts(),
    prompt: (named) => client.getPrompt({ name: named.prompt, arguments: named.arguments }),
  });
  await client.close();
  const schemas = Object.fromEntries(tools.map((tool) => [tool.name, tool.inputSchema]));
  return { tools: schemas, calls, asked, offered: also };
});
