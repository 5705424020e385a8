// Which methods a path takes, to tell a wrong method (405) from an unknown path (404).
import type { App } from './context.ts';

export type MethodsOf = (path: string) => string[];

/** Call before any route is added. Knows exact paths and those that end in "/*". */
export function collectMethods(app: App): MethodsOf {
  const routes = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const methods = routes.get(url) ?? new Set<string>();
    for (const name of [method].flat()) methods.add(name);
    routes.set(url, methods);
  });
  return (path) => {
    const fits = [...routes.keys()].find((url) => (url.endsWith('/*') ? path.startsWith(url.slice(0, -1)) : path === url));
    return [...(routes.get(fits ?? '') ?? [])].sort();
  };
}
