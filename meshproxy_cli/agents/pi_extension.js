// Registers the room as a provider for one run of pi: `meshproxy launch pi` describes it in a variable.
export default function (pi) {
  const { name, config } = JSON.parse(process.env.MESHPROXY_PI_PROVIDER);
  const models = config.models.map((model) => ({
    name: model.id,
    reasoning: false,
    input: ["text", "image"],
    cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 },
    contextWindow: 128000,
    maxTokens: 16384,
    ...model,
  }));
  pi.registerProvider(name, { ...config, models });
}
