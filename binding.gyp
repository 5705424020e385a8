# CMake is the one build (CMakeLists.txt); this target hands node-gyp over to it.
{
  "targets": [
    {
      "target_name": "gattling",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "message": "Building the native engine with CMake",
          "inputs": ["CMakeLists.txt"],
          # Never written, so that CMake, which knows what is stale, is always asked.
          "outputs": ["<(INTERMEDIATE_DIR)/asked"],
          "action": ["node", "scripts/install.mjs"]
        }
      ]
    }
  ]
}
