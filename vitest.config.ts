import { defineConfig } from 'vitest/config';

const project = (name: string) => ({
  test: { name, include: [`test/${name}/**/*.test.ts`], testTimeout: 60_000, hookTimeout: 60_000 },
});

export default defineConfig({
  test: { projects: [project('unit'), project('api'), project('e2e')] },
});
