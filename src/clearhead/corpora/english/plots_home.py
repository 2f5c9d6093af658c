"""English plots at home and near it: birthdays, kitchens, gardens, weather, families, school, sport, habits."""

RULES = """
story birthday 6 A=child B=friend R=uncle P=parent T=toy C=box
- [<intro> ]It was {A}'s birthday. <birthday_guests>~<birthday_gift> <birthday_end>
- [<intro> ]{A} woke up before the sun, for today was {A.his} [sixth|seventh|eighth|ninth|tenth] birthday.
  <birthday_wait>~<birthday_guests> <birthday_gift> <birthday_end>
- [<intro> ]For weeks {A} had been counting the days. Now at last it was {A.his} birthday.
  <birthday_guests>~<aside_party>~<birthday_gift> <birthday_end>

birthday_wait
- {A.He} lay still and listened. In the kitchen somebody was whispering, and it smelled of cake.
- The day before, {A.his} {P.father} had hidden something in the <where={C}>. {A} knew, but {A.he} had promised not to
  look in the <where?{C}>.
- {A} got dressed in the dark and put both socks on the same foot.

birthday_guests
- {B} was the first guest, and {R} was the second.
- At three o'clock {B} <rang^sound> the doorbell. Behind {B.him} stood {R} with a big parcel.
- {A} had invited only {B}, but {R} came too, [with a goose under one arm|covered with snow|on an old bicycle].

aside_party
- They played <game>, and {B} won every time.
- There was cake with [cherries|nuts|cream], and {R} ate four pieces.
- {R.Name} sang <song>, and everybody danced.
- One balloon burst, and the cat hid under the bed.

birthday_gift
- The parcel was tied with a big red <bow^ribbon>. {A} pulled at one end, and the <bow^ribbon> came open. In the
  parcel lay {T.a}.
- "This is for you," said {B}. It was wrapped in blue paper, and on top sat a <bow^ribbon> of silk. {A} opened it
  slowly. "It is {T.a}!" {A.he} cried.
- {R.Name} gave {A} a real <bow^weapon> and three arrows. {A} hit a tree, a bucket, and almost the cat. "Tomorrow we
  put up a target," said {R}.
- {A.His} {P.father} had made {T.a} with {P.his} own hands. It was [blue|red|yellow], and {A}'s name was written on
  it.
- {B} had no money for a present, and so {B} gave {A} [ten|twenty] pieces of paper. On each of them was written: "One
  hour of help."
- It was wrapped so well that {A} needed scissors, a knife, and {R}. Under the last layer sat {T.a} with a tiny
  <bow^ribbon>.

birthday_end
- That evening {A} fell asleep with {A.his} presents beside the pillow.
- "How many days until my next birthday?" asked {A}. "Three hundred and sixty-five," said {A.his} {P.father}.
- {A} blew out all the candles at once and did not tell anyone what {A.he} had wished for.
- When the guests had gone, {A} helped {A.his} {P.father} with the dishes. <end>
- In the end {B} had eaten so much cake that {B.he} had to lie down on the carpet.
- {R.Name} played the [accordion|trumpet|spoons], and the neighbours came to complain and stayed to dance.

story kitchen 5 A=child R=parent F=fruit G=food U=uncle
- [<intro> ]{A} and {A.his} {R.father} were going to bake {F.a} cake. <bake_do>[ <bake_do>]~<bake_trouble> <bake_end>
- [<intro> ]<when>, {A} decided to cook for the whole family. {A.He} took {F.s}, {G}, and a big pot. <cook_do>[
  <cook_do>]~<bake_trouble> <bake_end>
- [<intro> ]{U.Name} was coming to dinner at {A}'s house, and there was nothing there but some {F.s} and a little {G}.
  "We will make something out of that," said {A.his} {R.father}. <cook_do>[ <cook_do>]~<bake_trouble> <bake_end>

bake_do
- {R.Name} weighed the flour, and {A} broke the eggs. Then they mixed butter and sugar until it was soft.
- First {A} washed the {F.s}. Then {A.he} cut them into small pieces, and {R} made the dough.
- "First flour, then milk, then eggs," said {R}. {A} did everything in the wrong order, but it looked good anyway.
- {A} was allowed to lick the [spoon|bowl], but only after everything was in the oven.
- {R.Name} [sang <song>|told an old story|counted aloud], and {A} stirred in time.
- They needed [three|four|six] eggs. One fell on the floor, and the dog was glad.

cook_do
- {A} peeled the {F.s}, cut them up, and put them into the pot with the {G}. It began to bubble and smelled wonderful.
- The water boiled, the lid rattled, and {A} stirred with a long wooden spoon.
- {A} tasted, added a little salt, tasted again, and added more.
- {A} cut everything as small as possible and cried a little, though there were no onions in it.
- {R.Name} put in [a bay leaf|some pepper|a secret spice] when nobody was looking.
- First it was too thin, then it was too thick, and then it was just right.

bake_trouble
- Then the telephone <rang^sound>, and they forgot the oven. When smoke came out of the kitchen, it was too late. The
  bottom was black.
- But somebody had put salt into the sugar bowl. {A} made a face and reached for the water.
- In the meantime the cat had climbed onto the table and [eaten half of it|sat down in the middle of it].
- <aside_kitchen>
- There was far too much of it, so {A} carried a plate to each of the neighbours.
- The [oven|stove] went out, and {A} had to fetch [wood|coal] from the cellar in the dark.
- A neighbour knocked and asked for [an egg|a cup of sugar|some salt], stayed for an hour, and talked about the price
  of bread.
- The spoon fell in, and they fished for it with a [fork|ladle|clothes peg].
- Just then the lamp went out, and they had to finish in the dark.
- {A} had read [spoons|cups] instead of [cups|spoons], and it was far too [sweet|salty].

aside_kitchen
- While they waited, {R} told {A} about the time when {R.he} had burned a whole goose.
- While they waited, {A} washed the bowls, and {R} dried them.
- After an hour everything was ready, and they all sat down at the table.

bake_end
- "It is the best I have ever eaten," said {A.his} {R.father}, and {A} turned red with joy.
- They ate it with a lot of [cream|honey|laughter], and nothing was left.
- "Next time," said {A}, "I will read the recipe first."
- {R.Name} wiped the flour off {A}'s nose. <end>
- They carried the [first|biggest] piece to the old neighbour upstairs.
- The kitchen looked like a battlefield, but the taste was [heavenly|wonderful|very good].
- {A} wrote the recipe on the wall, so that nobody would forget it.
- {R.Name} said nothing, but took a third helping, and that said everything.

story garden 5 A=child R=grandparent F=crop S=animal
- <intro> {A.His} {R.grandfather} gave {A.him} [three|four|five] seeds. <garden_plant>[ <garden_plant>] <garden_grow>
  <garden_end>
- In <spring^season> {A} and {A.his} {R.grandfather} dug up a small bed behind the house. <garden_plant>[
  <garden_plant>] <garden_grow> <garden_end>
- Behind the house of {A}'s {R.grandfather} was a garden in which everything grew. <when>, {A} asked, "May I have a
  bed of my own?" <garden_plant>[ <garden_plant>] <garden_grow> <garden_end>

garden_plant
- {A} made holes in the earth with one finger and laid a seed in each of them. Then {A.he} gave them water.
- "Not too deep," said {R}, "and not too close together." {A} took a string to make the line straight.
- {A} planted {F.s} and put a small sign beside them, so that nobody would step on them.
- They laid [strings|sticks] on the ground and put a seed in every hole, and {A} covered them with [dark|warm] earth.
- {A} sang to the seeds, because {R} had said that they like music.
- First they pulled out the weeds, [two|three|four] buckets full. {A}'s back hurt, and {R}'s did too.

garden_grow
- For two weeks nothing happened. {A} came every morning and looked. Then, after a warm rain, a green point stuck out
  of the earth.
- {A} watered the bed every evening. The plants became tall, taller than {A}, and at last even taller than {R}.
- Snails came in the night and ate almost everything. But {A} did not give up and planted again.
- One day {S.a} got into the garden and trampled on the bed. {A} chased {S.it} out with a broom and built a fence.
- It did not rain for a month. {A} carried water from the well, two buckets every morning and two every evening.

garden_end
- In autumn {A} picked the first ripe {F}. It was small and crooked, and it tasted better than any other.
- "You have a green thumb," said {R}, and {A} looked at {A.his} thumb.
- {A} gave the biggest {F} to {A.his} {R.grandfather}, for without {R.him} there would have been no garden.
- "Patience is the best water," said {R}. {A} wrote that on the sign.
- They sold [ten|twenty|thirty] {F.s} at the market and bought [a new spade|a bench for the garden|more seeds] with
  the money.
- {A} cooked a soup for the whole street, and in it swam the first {F}.
- {R.Name} kept some seeds in an envelope and wrote {A}'s name on it, for the next year.
- That winter {A} dreamed of {F.s} as big as houses.

story snow 4 A=child B=friend AB=pair
- [<intro> ]When {A} looked out of the window in the morning, everything was white. <snow_fun>~<snow_more>[
  <snow_more>] <snow_end>
- [<intro> ]It had snowed for three days, and the school was closed. {A} ran to {B}'s house. <snow_fun>~<snow_more>[
  <snow_more>] <snow_end>

snow_fun
- {A} and {B} rolled three big balls of snow, put one on top of the other, and gave the snowman a carrot for a nose.
- {B} had a sled. {A} and {B} pulled it up the hill, sat down on it, and raced down until the wind made their eyes
  water.
- {A} threw a snowball at {B} and hit the baker's window instead.
- {A} and {B} dug a tunnel through the [drift|heap of snow] in front of the door and met in the middle.
- {A} had never seen so much snow. {A.He} let {A.himself} fall backwards and made an angel, and {B} made a
  [crocodile|giant|bird] beside it.
- They followed [strange|tiny|deep] tracks in the snow, across the [field|garden|frozen stream]. At the end of them
  sat a <small_animal>.

snow_more
- In the afternoon {AB.they} built a house of snow, with a door and a bench inside.
- {B} lost a glove and {A} lent {B.him} one, so that each of them had one warm hand and one cold hand.
- Under the bush sat a hungry robin. {A} scattered crumbs for it, and soon five more birds came.
- The ice on the pond was thick, and {AB.they} slid across it on their shoes.
- {A} put out {A.his} tongue and caught [seven|nine|eleven] snowflakes. {B} caught one more.
- An old neighbour could not get out of the house, so {A} and {B} cleared the [path|steps|gate] with [shovels|a broom
  and a pan].
- Then the sled broke. {B} tied it together with [a scarf|shoelaces|string], and it went faster than before.
- The [baker|teacher|postal clerk] slipped and sat down in the snow. {AB.They} helped, and nobody laughed until the
  corner.

snow_end
- When it grew dark, {AB.they} went in and drank hot cocoa by the stove.
- The next day the sun shone, and the snowman grew thinner and thinner. "Next year we will build another one," said
  {B}.
- {A}'s nose was red and {A.his} toes were cold, but {A.he} would not have missed it for anything.
- {A} was asleep before {A.his} head touched the pillow.
- "I hope that it snows again tonight," said {B}. And it did.
- {A}'s gloves hung over the stove and steamed, and the whole house smelled of wet wool.
- In the evening the whole street threw snowballs, old and young, until nobody could feel their fingers.

story storm 4 A=child R=parent S=sibling
- [<intro> ]In the evening a storm came up. {A} and {A.his} {S.brother} {S} were already in bed. <storm_what>[
  <storm_what>]~<storm_care>[ <storm_care>] <storm_end>
- [<intro> ]{A} and {A.his} {S.brother} {S} lay in bed and listened to the thunder. <storm_what>[
  <storm_what>]~<storm_care>[ <storm_care>] <storm_end>

storm_what
- The wind tore tiles from the roof, and the rain beat against the windows. Then the lamp went out.
- Lightning lit up the room, and the thunder was so loud that the cups jumped. {S} crept under {A}'s blanket.
- There was a crash in the yard. The old <tree> had fallen on the fence.
- The [river|stream] rose higher and higher, and [boards|barrels|a boat without a rower] floated past the house.
- First it was quite still. Then the first drops fell, as big as [coins|cherries], and then the whole sky seemed to
  fall down.
- A window flew open, and {A}'s [drawings|socks|paper ships] sailed through the room like [birds|leaves].
- Hail as big as [peas|walnuts|marbles] drummed on the roof, and the [hens|geese] ran for the barn.

storm_care
- {A.His} {R.father} felt for a <match^fire> and lit a candle. "It is only air and water," {R.he} said.
- {S.Name} was afraid, and so {A} told {S.him} a story about a cloud that had lost its way.
- {A} counted the seconds between lightning and thunder. They became more and more. "It is moving away," {A.he} told
  {A.his} {S.brother}.
- {R.Name} put a bucket under the leak in the roof, and all of them listened to the drops: plink, plink, plink.
- {A} and {S} built a cave of [blankets|chairs and pillows] and waited inside with a [bag of nuts|jar of cherries].
- {R.Name} sang <song>, louder than the [thunder|wind|rain].
- "Is the house strong enough?" asked {S}. "It has stood for [sixty|eighty|a hundred] years," said {A.his} {R.father}.
- {A} remembered that the [rabbit|goat|kitten] was still outside. {A.He} ran into the rain and came back wet to the
  skin, with [the animal|a shivering bundle] under {A.his} coat.

storm_end
- In the morning the air was clean and cool, and branches lay all over the street.
- When the storm was over, {S} was asleep, and so was {A}.
- The next day the whole family mended the roof. {A} was allowed to hold the ladder.
- {A} opened the window. It smelled of wet earth, and one <star^sky> was shining.
- In the morning there were [apples|tiles|feathers] all over the [street|garden|yard], and {A} gathered them in a
  basket.
- "Tonight we will sleep well," said {A.his} {R.father}, and that was true.
- In the end {S} was sorry that it was over.
- On the next day a [double rainbow|clear blue sky|flock of gulls] stood over the [hills|fields|roofs].

story visit 5 A=child R=uncle P=town T=keepsake
- [<intro> ]{A}'s {R.uncle} lived in {P}, in a house full of clocks. Once a year {A} was allowed to stay with {R} for
  a week. <visit_arrive>~<visit_day>[ <visit_day>] <visit_end>
- [<intro> ]"Next week you may visit your {R.uncle} in {P}," {A} was told. <visit_arrive>~<visit_day>[ <visit_day>]
  <visit_end>
- [<intro> ]{R.Name}, {A}'s {R.uncle}, was a sailor and had seen the whole world. When {R.he} came to visit, the house
  was full of stories. <visit_day>[ <visit_day>] <visit_end>

visit_arrive
- {R.Name} was standing at the station with {R.his} hat in {R.his} hand. "My dear {A.nephew}!" {R.he} cried. "How you
  have grown!"
- The door opened before {A} could knock. "Come in, come in," said {R}, "the soup is getting cold."
- {A} had to walk the last mile on foot, and {R} came to meet {A.him} with a lantern.
- {R.Name} had forgotten the day and opened the door in a nightshirt. "Is it Friday already?" {R.he} asked.
- There was a bed ready under the roof, and from its window {A} could see [the sea|the whole town|seven church
  towers].
- It smelled of [varnish|cats|oranges|old books] in the house of {R}, just as it had the year before.

visit_day
- {R.Name} showed {R.his} {A.nephew} how to [mend a clock|catch a trout|whistle with two fingers|bake bread in the
  ashes].
- In the evening {R} told {A} about a storm at sea that had lasted nine days. The mast broke, and the crew ate nothing
  but onions.
- {A} and {R} went fishing. {A} caught a boot, and {R} laughed so hard at {R.his} {A.nephew} that {R.his} hat fell
  into the water.
- {R.Name} opened an old chest and gave {A} {T.a}. "I had {T.it} with me on every journey," {R.he} said. "Now {T.it}
  is yours."
- {R.Name} let {A} [drive the tractor|steer the boat|feed the snake] all alone, and closed {R.his} eyes.
- It rained the whole time, and so {R} and {R.his} {A.nephew} built a [ship|castle|zoo] out of corks and glue.
- In the cellar {R} kept [bees|an old car|a flying machine without wings]. "Nobody knows about it," {R.he} told
  {R.his} {A.nephew}, "only you."

visit_end
- When {A} had to go home, {R} gave {A.him} a jar of honey and a long hug.
- "Come again, {A.nephew}," said {R}. And {A} came again, every summer.
- Many years later {A} told the same stories to {A.his} own children.
- On the way home {A} thought: my {R.uncle} is the [funniest|kindest|strangest] {R.man} in the world.
- "Write to me," said {R} at the station, and {A} did, every <weekday>.
- {A} wanted to be like {R} one day, only with fewer [cats|clocks|onions].

story dinner 4 A=child F=parent G=grandparent U=uncle S=sibling
- [<intro> ]On Sunday the whole family sat around the big table: {A}, {A.his} {S.brother} {S}, {G}, {F}, and {U}.
  <dinner_talk>[ <dinner_talk>]~<dinner_trouble> <dinner_end>
- [<intro> ]<when>, {A} set the table for five. {F.Name} had cooked, {G} had brought a cake, and {U} came late, as
  always. {A.His} {S.brother} {S} lit the candles. <dinner_talk>[ <dinner_talk>]~<dinner_trouble> <dinner_end>

dinner_talk
- {G.Name} told how {G.he} had once danced with a film <star^film>, and nobody believed {G.him}.
- "When I was a little {G.boy}," said {G}, "we walked to school through snow up to our knees." {U.Name} winked at {A}.
- {U.Name} could do a trick with three spoons. One of them flew across the room and landed in {F}'s soup.
- {F.Name} asked {A} about school, and {A} asked for more potatoes.
- "Who remembers the winter when [the well froze|the goat got into the church|it snowed in May]?" asked {U}. Only {G}
  remembered.
- {F.Name} wanted to say something important, but {S} would not stop laughing.
- {G.Name} and {U} argued about who had caught the bigger fish, twenty years ago.

dinner_trouble
- Then {S} knocked over the jug, and the juice ran into {U}'s lap. {U.He} jumped up and hit {U.his} head on the lamp.
- {A} and {S} both wanted the last piece of cake. {F.Name} cut it in two with a thread, and the two pieces were
  exactly the same.
- Suddenly the chair broke under {U}. {U.He} sat on the floor, still holding {U.his} fork, and asked for the salt.
- The dog stole the roast and ran into the garden, and {G} ran after it.
- The [soup|gravy|sauce] was so hot that {S} spat it out, right onto {G}'s best [shirt|scarf].
- There was a knock at the door. Outside stood [two strangers|the neighbours] with a plate and asked what smelled so
  good.
- {F.Name} tasted the cake and frowned. Somebody had taken salt instead of sugar. {U.Name} ate it all the same.

dinner_end
- It was loud and a little too warm, and {A} would not have changed it for the whole world.
- After the meal {G} fell asleep in the armchair, and {F} covered {G.him} with a blanket.
- "Next Sunday at our house!" said {U}, and {A} helped {U.him} into {U.his} coat.
- {A} washed the plates, {S} dried them, and neither of them broke anything.
- They sat together until the candles went out, and {S} fell asleep under the table.
- "Who is going to do the dishes?" asked {F}. Suddenly {U} had to go home.
- {A} looked around the table and was glad that everyone was there.
"""
