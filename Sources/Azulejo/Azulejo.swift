@_exported import Tensors
@_exported import Formats
@_exported import LanguageModels
