"""Models behind OpenAI-style servers: `text` answers asks, `probe` finds out what a server can do,
`wire` writes requests and reads responses, `transport` sends them, `background` is the engine."""
