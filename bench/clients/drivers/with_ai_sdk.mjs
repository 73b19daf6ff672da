// @ai-sdk/mcp: tools as the AI SDK gives them to a model, and the output of a call as the model gets it.
import { ElicitationRequestSchema, createMCPClient } from "@ai-sdk/mcp";
import { Experimental_StdioMCPTransport as StdioTransport } from "@ai-sdk/mcp/mcp-stdio";
import { asSchema } from "ai";
import { offered, run, taken } from "./steps.mjs";

await run(async (plan) => {
  const asked = [];
  const transport =
    plan.transport === "stdio"
      ? new StdioTransport({ command: plan.command, args: plan.args, env: plan.env })
      : { type: plan.transport, url: plan.url, headers: plan.headers };
  const client = await createMCPClient({ transport, capabilities: { elicitation: {} } });
  client.onElicitationRequest(ElicitationRequestSchema, async (request) => {
    asked.push(request.params.message);
    return { action: "accept", content: { approve: true } };
  });
  const tools = await client.tools();
  const calls = await taken(plan, async (name, given) => {
    try {
      const output = await tools[name].execute(given, { toolCallId: "1", messages: [] });
      const shown = await tools[name].toModelOutput?.({ toolCallId: "1", input: given, output });
      return [shown ?? output, shown?.type?.startsWith("error") ? shown.type : ""];
    } catch (error) {
      return [String(error), error.name];
    }
  });
  const schemas = {};
  for (const [name, tool] of Object.entries(tools)) schemas[name] = await asSchema(tool.inputSchema).jsonSchema;
  const also = await offered(plan, {
    resources: () => client.listResources(),
    resource: (named) => client.readResource({ uri: named.resource }),
    prompts: () => client.listPrompts(),
    prompt: (named) => client.getPrompt({ name: named.prompt, arguments: named.arguments }),
  });
  await client.close();
  return { tools: schemas, calls, asked, offered: also };
});
