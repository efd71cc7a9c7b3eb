// What the pages use of Preact, which htm's standalone file brings with it. Served from
// node_modules as vendor/htm.js.
export type Node = any
export declare const html: (strings: TemplateStringsArray, ...values: any[]) => Node
export declare function render(node: Node, parent: Element): void
export declare function useState<T>(initial: T | (() => T)): [T, (next: T | ((before: T) => T)) => void]
export declare function useEffect(effect: () => void | (() => void), inputs?: any[]): void
export declare function useLayoutEffect(effect: () => void | (() => void), inputs?: any[]): void
export declare function useRef<T>(initial: T): { current: T }
export declare function useErrorBoundary(onError?: (error: any) => void): [any, () => void]
