// Runs before the first paint, so that a dark page never flashes white.
(() => {
  const chosen = () => {
    try {
      return localStorage.getItem("tidegate-theme");
    } catch {
      return null; // storage is blocked: the system's preference holds
    }
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    document.documentElement.dataset.bsTheme = chosen() ?? (system.matches ? "dark" : "light");
  };
  apply();
  system.addEventListener("change", apply);
})();
