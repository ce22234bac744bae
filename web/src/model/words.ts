/**
 * Words for meeting names: short, easy to say over a bad line, hard to mistake for one another, and free of
 * meanings that hurt. 256 words, so three of them give 24 bits.
 */
export const WORDS: readonly string[] = `
acorn agate alder almond amber anchor angle apple apron arbor arch aspen atlas attic autumn azure
badge bagel bakery bamboo banjo barley basil basin beacon beech bell berry birch bison blanket blossom
bonfire boulder bramble breeze brick bridge bronze brook bucket buoy butter cabin cactus candle canoe canvas canyon
caravan cargo carpet carrot castle cedar cello chalk cherry chestnut cinder circle citrus clay cliff clover cobalt
cocoa comet compass copper coral cotton cove cricket crystal current cypress dahlia daisy dawn delta dew dock
dolphin domino dory drift drum dune eagle earth easel echo eddy elbow elder ember emerald engine estuary
falcon fathom feather fern ferry fiddle field fig finch fjord flagon flame flint flute foam forest fossil
fountain fox galley garden garnet gazelle geyser ginger glacier glider globe gondola granite grape gravel grove guitar
gull gully hammock harbor harvest hazel heather helm heron hickory hill honey horizon hostel husk iris island
ivory ivy jasmine jetty jigsaw juniper kayak keel kelp kettle kite lagoon lantern larch lattice laurel lava
lemon lentil lichen lilac linen lobster locket lodge lotus lumber magnet mango maple marble marina market marsh
meadow melon mesa meteor mint mirror mistral molten mosaic moss mulberry nectar needle nettle nickel north nutmeg
oak oasis oboe ocean olive onyx orbit orchard orchid otter oxbow oyster paddle palm papaya parcel pasture
peach pebble pelican pepper pier pigeon pilot pine planet plaza plum pocket pollen pond poplar poppy prairie
prism puffin quarry quartz quill quilt rafter raisin ranch raven reef ribbon ridge river rocket rudder saddle sail walnut willow
`.trim().split(/\s+/);
