"""English plots of long ago and out in the country: dukes, weddings, old people, magic, animals that talk."""

RULES = """
story duke 5 D=duke A=adult B=spouse
- {D.Name} gave a feast in the castle, and {A} and {A.his} {B.husband} {B} were invited. <duke_feast>[ <duke_feast>]
  <duke_end>
- {A} worked in the [kitchen|stables|garden] of {D}, and {A.his} {B.husband} {B} looked after the horses.
  <duke_feast>[ <duke_feast>] <duke_end>
- Nobody in the valley was as rich as {D}, and nobody was as lonely. <duke_visit> <duke_end>
- {D.Name} was [proud|thin|famous] and had [eleven|thirty|forty] rooms, but only one friend: {A}, who came every
  <weekday> with {A.his} {B.husband} {B}. <duke_feast>[ <duke_feast>] <duke_end>

duke_feast
- There was roast goose, and [seven|nine] musicians played. {D.Name} danced with everyone, even with the cook. {A}
  spilled [wine|soup] on the white tablecloth and turned red.
- In the middle of the meal a [horse|cow|donkey] walked into the hall. {B} led it out again, and the {D.duke} clapped.
- The {D.duke} stood up and spoke for an hour about [{D.his} ancestors|horses|the weather|the tax on salt], until {B}
  fell asleep on {A}'s shoulder.
- The {D.duke} showed {A} and {B} the old castle: the tower, the cellar, and the room in which [a ghost|an owl|nobody]
  lived.
- After the soup {D} lost {D.his} [glasses|wig|gold button], and all the guests crawled under the table. {A} found a
  mushroom there, and {B} found the dog.

duke_visit
- One evening {A} and {B} knocked at the gate, because their cart had lost a wheel. The {D.duke} opened the door
  {D.himself}.
- {A} wrote a <letter^mail>: "Come and eat with us. {A} and {B}." And the {D.duke} really came, on foot.
- In the winter the road was closed by snow, and {A} and {B} had to stay in the castle for [three|five] days. The
  {D.duke} taught {A.him} chess and lost every game.

duke_end
- "I have not laughed so much in years," said the {D.duke}.
- Before they left, the {D.duke} gave {A} and {B} a basket of [pears|chestnuts|candles] from the castle.
- At midnight {A} and {A.his} {B.husband} walked home through the [snow|moonlight|dark wood], and {B} sang <song>.
- After that evening {D} often came down to the village.
- "[Same time next week|Stay for breakfast|Come again]?" asked the {D.duke}, and {B} said yes at once.

story wedding 6 A=adult B=spouse R=parent U=uncle AB=pair
- {A} and {B} wanted to get married. <wedding_ready>[ <wedding_ready>] <wedding_day>[ <wedding_day>] <wedding_end>
- "Will you marry me?" asked {A}. "Yes," said {B}, "but not before [Sunday|the harvest|breakfast]." <wedding_ready>[
  <wedding_ready>] <wedding_day>[ <wedding_day>] <wedding_end>
- {B} and {A} had known each other since school, and now {AB.they} were to be married. <wedding_day>[ <wedding_day>]
  <wedding_end>
- {A} was a <trait> {A.man}, and {B} was a <trait> {B.man}. {AB.They} [met at a dance|met on a train|had lived in the
  same street for years], and a year later there was a wedding. <wedding_ready>[ <wedding_ready>] <wedding_day>[
  <wedding_day>] <wedding_end>

wedding_ready
- {U.Name} baked a cake with [three|four|five] floors, and {A.his} {R.father} sewed the whole night.
- {AB.They} had little money, and so {U} made the <rings^jewel> out of an old silver spoon.
- {A}'s {R.father} invited the whole [village|street], and the whole [village|street] came.
- {A} could not decide on a hat. {U.Name} said that it did not matter, because {B} would not look at the hat.

wedding_day
- In front of the door of the church {A} noticed that {A.he} had left the <ring^jewel> at home. {U.Name} ran back to
  fetch the <ring^jewel>.
- {B} was late, because {B.his} horse had stopped to eat the neighbour's [cabbage|roses|hay].
- It [rained|snowed], but nobody minded. {R.Name} cried a little and said that it was the [rain|snow].
- {A} put the <ring^jewel> on {B}'s finger, and {B} put one on {A}'s. Then the bells began to <ring^sound>.
- "Yes," said {A}, before anyone had asked. Everybody laughed, and {B} said yes too.

wedding_end
- Now {AB.they} were married, and {AB.they} danced until [midnight|the sun came up|the candles went out].
- {A} and {A.his} {B.husband} moved into the little house by the [mill|bridge|sea] and bought a [goat|piano|boat].
- {B} and {B.his} {A.husband} lived together for [forty|fifty|sixty] years and quarrelled only about the window.
- {U.Name} danced with {R}, and {R} stepped on {U.his} foot.
- In the photo {A} has closed eyes, and {A.his} {B.husband} has cake on {B.his} nose. It still hangs over the stove.

story old_wise 5 A=adult B=friend
- On the hill lived an old {A.man}. {A.His} name was {A}, and people came to {A.him} when they did not know what to
  do. One day {B} came. <wise_ask> <wise_say>
- {A} was a very old {A.man} and had [outlived three dogs|seen five wars|planted a thousand trees|forgotten more than
  others know]. <when>, {B} sat down beside {A.him}. <wise_ask> <wise_say>
- {B} had walked all day to ask the old {A.man} on the mountain a question. {A}, as {A.he} was called, was peeling
  potatoes. <wise_ask> <wise_say>
- "Ask {A}," the people told {B}. {A} was an old {A.man} who lived [in a boat|above the mill|at the end of the road]
  with [a goat|two owls|a blind dog]. <wise_ask> <wise_say>

wise_ask
- "What is the most valuable thing in the world?" asked {B}.
- "How can I become [rich|famous|strong]?" asked {B}.
- "Why is nobody my friend?" asked {B}.
- "I have lost my way," said {B}. "What shall I do?"
- "Is it better to be [rich or clever|loved or feared|young or old]?" asked {B}.
- "I have quarrelled with my best friend," said {B}. "Who should say sorry first?"

wise_say
- "Help me to peel," said {A}, "and then we will see." When the potatoes were peeled, {B} knew the answer.
- {A} gave {B.him} a cup of <drink> and said nothing. They looked at the valley until the sun went down. {B} went home
  with a <light^weight> heart.
- "I do not know," said {A}. "But I know someone who knows." And {A.he} held up a mirror.
- "Plant a tree," said {A}, "and come back when it bears fruit." {B} came back after [seven|nine] years with a basket
  of apples, and {A.he} was still there.
- "Sleep on it," said the old {A.man}. {B} did, and in the morning the question was smaller.
- "When I was a {A.boy}," said {A}, "I asked the same. I was told to count the [<stars^sky>|leaves|<waves^sea>]." {B}
  counted all night and came back smiling.
- "Ask me again tomorrow," said the old {A.man}. {B} came every day for a [month|year], and on the last day {B.he} no
  longer needed the answer.

story magic 6 K=wizard A=child R=parent T=keepsake N=animal
- In the forest lived {K}, and everyone was afraid of {K.him}. Only {A} was not. <magic_do>[ <magic_do>] <magic_end>
- One [stormy|cold|dark] night {K} knocked at the door of {A} and {A.his} {R.father} and asked for a bed. <magic_do>[
  <magic_do>] <magic_end>
- {A} had heard that {K} could [make rain|talk to animals|read thoughts]. So {A.he} walked into the forest to see it.
  <magic_do>[ <magic_do>] <magic_end>
- {A}'s {N} had eaten a red mushroom and was now as big as a [house|haystack]. Only {K} could help. {A} ran into the
  forest. <magic_do>[ <magic_do>] <magic_end>

magic_do
- {K.Name} had a black stone that made people tell the truth. {A} touched it and said, "I am hungry."
- {A} brought {K.him} a soup, for the {K.wizard} had a cold and had sneezed the cat [blue|green|onto the roof].
- The {K.wizard} could turn straw into gold, but {K.he} could not cook. {A} showed {K.him} how to make
  [pancakes|soup|an omelette].
- The {K.wizard} lifted {K.his} stick, and the [chairs|brooms|spoons] began to dance. {A} danced along.
- "Say the word backwards," said the {K.wizard}. {A} tried it, and suddenly {A.he} was as small as a <mouse^animal>.
- The {K.wizard} looked into a bowl of water and saw [the sea|a burning house|{A}'s {R.father}, who was looking for
  {A.him}].

magic_end
- As a thank-you {A} was given {T.a} that [is always warm|hums at night|is never lost].
- From then on {A} visited the {K.wizard} every <weekday>, and the people were no longer afraid.
- The next morning {K} was gone, but on the table lay {T.a}.
- "You are braver than I am," said the {K.wizard}, and {A} laughed.
- When {A} told {A.his} {R.father} about it, {R.he} only said, "Wash your hands."
- "Magic is easy," said the {K.wizard}. "Being kind is hard, and that you can do already."

story fable 9 X=fable_animal Y=fable_animal F=fruit
- {X.A} and {Y.a} lived in the same [forest|valley|garden]. <fable_matter> <fable_turn> <fable_end>
- <when>, {X.a} met {Y.a} at the [stream|crossroads|edge of the wood]. <fable_matter> <fable_turn> <fable_end>
- Once there was {X.a} that thought itself cleverer than all the others. Its neighbour was {Y.a}. <fable_matter>
  <fable_turn> <fable_end>
- The {X} had a big mouth, and the {Y} had good ears. <fable_matter> <fable_turn> <fable_end>

fable_matter
- The {X} had found {F.a} and did not want to share {F.it}. "{F.It} is too big for you alone," said the {Y}.
- "I am the [fastest|cleverest|strongest] animal in the forest," said the {X}. "Then run to the hill and back," said
  the {Y}, "and I will wait here."
- The {Y} was hungry, for it had been a long winter. The {X} had a [full cellar|heap of {F.s}] and did not open the
  door.
- The {X} said that it was afraid of nothing, not even of the [thunder|hunter|dark].
- The {Y} had fallen into a deep hole. "What do I get if I help you?" asked the {X}. At last the {X} let down a
  branch, but only for three {F.s}.
- "Work is for fools," said the {X} and lay down in the sun. The {Y} went on gathering {F.s}.
- The {X} laughed at the {Y}, because the {Y} was so [slow|small|careful].
- "Let us build a house together," said the {Y}. "You build," said the {X}, "and I will look on."

fable_turn
- Just then a branch broke, and the {X} was stuck. The {Y} pulled and pushed until the {X} was free.
- While the {X} talked and talked, the {Y} went quietly away and had a good meal.
- The {Y} said nothing and began to work. In the evening the {X} came and saw how much the {Y} had done.
- Then came the [rain|snow|flood], and the water rose higher and higher. The {Y} knew a dry place, and there was room
  for two.
- Suddenly there was a rustle in the leaves. The {X} ran away as fast as it could. It was only a <mouse^animal>.
- In winter the {X} had nothing left to eat. It knocked at the {Y}'s door, and the {Y} opened.
- Then the hunter came. The {Y} made so much noise that the {X} could escape.

fable_end
- Since then the {X} has talked less and listened more.
- "Thank you," said the {X}, and it was the first time that it had said that.
- And if they have not moved away, they still live there, side by side.
- Whoever shares has more: that is what the {X} learned.
- "Big words do not fill the stomach," said the {Y}, and the {X} had to laugh.
- From then on the {X} and the {Y} shared everything, even the {F.s}.
- "You were right," said the {X}. "I know," said the {Y}, "but I can wait."
- And whenever the {X} wanted to boast, it thought of the {Y}.
"""
