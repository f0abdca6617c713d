// Opens the reference that can be tried, on this service's own description.
globalThis.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger",
  defaultModelsExpandDepth: -1,
  deepLinking: true,
  validatorUrl: null,
  presets: [globalThis.SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
