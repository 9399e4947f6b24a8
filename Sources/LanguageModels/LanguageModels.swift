// Layer LanguageModels.
