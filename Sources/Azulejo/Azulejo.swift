// The umbrella: `import Azulejo` gives users every public layer, and the types in their signatures. No code of its own.
// Surprise: of the layers below only what users write down is exported, a type at a time where the rest is not theirs.
@_exported import enum Basics.DeviceKind
@_exported import struct Basics.Diagnostic
@_exported import enum Basics.JSON
@_exported import Capture
@_exported import Formats
@_exported import LanguageModels
@_exported import TensorTypes
@_exported import Tensors
@_exported import struct Tokenizers.ChatMessage
@_exported import struct Tokenizers.ChatTemplate
@_exported import struct Tokenizers.Tokenizer
