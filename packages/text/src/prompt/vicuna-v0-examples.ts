/** The two turns that every Vicuna v0 conversation begins with. The text is part of the model's interface. */
export const VICUNA_V0_EXAMPLES: readonly [question: string, answer: string] = [
  "What are the key differences between renewable and non-renewable energy sources?",
  "Renewable energy sources are those that can be replenished naturally in a relatively short amount of time, such as solar, wind, " +
    "hydro, geothermal, and biomass. Non-renewable energy sources, on the other hand, are finite and will eventually be depleted, " +
    "such as coal, oil, and natural gas. Here are some key differences between renewable and non-renewable energy sources:\n" +
    "1. Availability: Renewable energy sources are virtually inexhaustible, while non-renewable energy sources are finite and will " +
    "eventually run out.\n" +
    "2. Environmental impact: Renewable energy sources have a much lower environmental impact than non-renewable sources, which can " +
    "lead to air and water pollution, greenhouse gas emissions, and other negative effects.\n" +
    "3. Cost: Renewable energy sources can be more expensive to initially set up, but they typically have lower operational costs than " +
    "non-renewable sources.\n" +
    "4. Reliability: Renewable energy sources are often more reliable and can be used in more remote locations than non-renewable " +
    "sources.\n" +
    "5. Flexibility: Renewable energy sources are often more flexible and can be adapted to different situations and needs, while " +
    "non-renewable sources are more rigid and inflexible.\n" +
    "6. Sustainability: Renewable energy sources are more sustainable over the long term, while non-renewable sources are not, and " +
    "their depletion can lead to economic and social instability.\n",
];
