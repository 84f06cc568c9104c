#include "data/painter_policies.hpp"

namespace tessera::data {

namespace {

constexpr PolicyPair kOriginal[] = {
    {{{"Posterize", 0.4, 8}, {"Rotate", 0.6, 9}}},  {{{"Solarize", 0.6, 5}, {"AutoContrast", 0.6, 5}}},
    {{{"Equalize", 0.8, 8}, {"Equalize", 0.6, 3}}}, {{{"Posterize", 0.6, 7}, {"Posterize", 0.6, 6}}},
    {{{"Equalize", 0.4, 7}, {"Solarize", 0.2, 4}}}, {{{"Equalize", 0.4, 4}, {"Rotate", 0.8, 8}}},
    {{{"Solarize", 0.6, 3}, {"Equalize", 0.6, 7}}}, {{{"Posterize", 0.8, 5}, {"Equalize", 1.0, 2}}},
    {{{"Rotate", 0.2, 3}, {"Solarize", 0.6, 8}}},   {{{"Equalize", 0.6, 8}, {"Posterize", 0.4, 6}}},
    {{{"Rotate", 0.8, 8}, {"Color", 0.4, 0}}},      {{{"Rotate", 0.4, 9}, {"Equalize", 0.6, 2}}},
    {{{"Equalize", 0.0, 7}, {"Equalize", 0.8, 8}}}, {{{"Invert", 0.6, 4}, {"Equalize", 1.0, 8}}},
    {{{"Color", 0.6, 4}, {"Contrast", 1.0, 8}}},    {{{"Rotate", 0.8, 8}, {"Color", 1.0, 2}}},
    {{{"Color", 0.8, 8}, {"Solarize", 0.8, 7}}},    {{{"Sharpness", 0.4, 7}, {"Invert", 0.6, 8}}},
    {{{"ShearX", 0.6, 5}, {"Equalize", 1.0, 9}}},   {{{"Color", 0.4, 0}, {"Equalize", 0.6, 3}}},
    {{{"Equalize", 0.4, 7}, {"Solarize", 0.2, 4}}}, {{{"Solarize", 0.6, 5}, {"AutoContrast", 0.6, 5}}},
    {{{"Invert", 0.6, 4}, {"Equalize", 1.0, 8}}},   {{{"Color", 0.6, 4}, {"Contrast", 1.0, 8}}},
    {{{"Equalize", 0.8, 8}, {"Equalize", 0.6, 3}}},
};

constexpr PolicyPair kV0[] = {
    {{{"Equalize", 0.8, 1}, {"ShearY", 0.8, 4}}},        {{{"Color", 0.4, 9}, {"Equalize", 0.6, 3}}},
    {{{"Color", 0.4, 1}, {"Rotate", 0.6, 8}}},           {{{"Solarize", 0.8, 3}, {"Equalize", 0.4, 7}}},
    {{{"Solarize", 0.4, 2}, {"Solarize", 0.6, 2}}},      {{{"Color", 0.2, 0}, {"Equalize", 0.8, 8}}},
    {{{"Equalize", 0.4, 8}, {"SolarizeAdd", 0.8, 3}}},   {{{"ShearX", 0.2, 9}, {"Rotate", 0.6, 8}}},
    {{{"Color", 0.6, 1}, {"Equalize", 1.0, 2}}},         {{{"Invert", 0.4, 9}, {"Rotate", 0.6, 0}}},
    {{{"Equalize", 1.0, 9}, {"ShearY", 0.6, 3}}},        {{{"Color", 0.4, 7}, {"Equalize", 0.6, 0}}},
    {{{"Posterize", 0.4, 6}, {"AutoContrast", 0.4, 7}}}, {{{"Solarize", 0.6, 8}, {"Color", 0.6, 9}}},
    {{{"Solarize", 0.2, 4}, {"Rotate", 0.8, 9}}},        {{{"Rotate", 1.0, 7}, {"TranslateYRel", 0.8, 9}}},
    {{{"ShearX", 0.0, 0}, {"Solarize", 0.8, 4}}},        {{{"ShearY", 0.8, 0}, {"Color", 0.6, 4}}},
    {{{"Color", 1.0, 0}, {"Rotate", 0.6, 2}}},           {{{"Equalize", 0.8, 4}, {"Equalize", 0.0, 8}}},
    {{{"Equalize", 1.0, 4}, {"AutoContrast", 0.6, 2}}},  {{{"ShearY", 0.4, 7}, {"SolarizeAdd", 0.6, 7}}},
    {{{"Posterize", 0.8, 2}, {"Solarize", 0.6, 10}}},    {{{"Solarize", 0.6, 8}, {"Equalize", 0.6, 1}}},
    {{{"Color", 0.8, 6}, {"Rotate", 0.4, 5}}},
};

constexpr ChoiceEntry kAll[] = {
    {"AutoContrast", "AutoContrast", 0.25},
    {"Equalize", "Equalize", 0.05},
    {"Invert", "Invert", 0.05},
    {"Rotate", "Rotate", 3},
    {"Posterize", "PosterizeIncreasing", 0.05},
    {"Solarize", "SolarizeIncreasing", 0.05},
    {"SolarizeAdd", "SolarizeAdd", 0.05},
    {"Color", "ColorIncreasing", 0.25},
    {"Contrast", "ContrastIncreasing", 0.05},
    {"Brightness", "BrightnessIncreasing", 0.05},
    {"Sharpness", "SharpnessIncreasing", 0.25},
    {"ShearX", "ShearX", 2},
    {"ShearY", "ShearY", 2},
    {"TranslateXRel", "TranslateXRel", 1},
    {"TranslateYRel", "TranslateYRel", 1},
};

constexpr ChoiceEntry kThree[] = {
    {"SolarizeIncreasing", "SolarizeIncreasing", 1},
    {"Desaturate", "Desaturate", 1},
    {"GaussianBlur", "GaussianBlur", 1},
};

constexpr ChoiceEntry kThreeWeighted[] = {
    {"SolarizeIncreasing", "SolarizeIncreasing", 6},
    {"Desaturate", "Desaturate", 6},
    {"GaussianBlur", "GaussianBlur", 6},
    {"Rotate", "Rotate", 3},
    {"ShearX", "ShearX", 2},
    {"ShearY", "ShearY", 2},
    {"PosterizeIncreasing", "PosterizeIncreasing", 1},
    {"AutoContrast", "AutoContrast", 1},
    {"ColorIncreasing", "ColorIncreasing", 1},
    {"SharpnessIncreasing", "SharpnessIncreasing", 1},
    {"ContrastIncreasing", "ContrastIncreasing", 1},
    {"BrightnessIncreasing", "BrightnessIncreasing", 1},
    {"Equalize", "Equalize", 1},
    {"Invert", "Invert", 1},
};

}  // namespace

std::span<const PolicyPair> original_policy() { return kOriginal; }
std::span<const PolicyPair> v0_policy() { return kV0; }
std::span<const ChoiceEntry> all_choices() { return kAll; }
std::span<const ChoiceEntry> three_choices() { return kThree; }
std::span<const ChoiceEntry> three_weighted_choices() { return kThreeWeighted; }

}  // namespace tessera::data
