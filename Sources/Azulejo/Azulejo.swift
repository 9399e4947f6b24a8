// The umbrella: `import Azulejo` gives users every public layer. No code of its own.
@_exported import Capture
@_exported import Tensors
@_exported import Formats
@_exported import LanguageModels
