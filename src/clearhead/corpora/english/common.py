"""English rules that many plots share: when a story starts, who it is about, what happens on the side, how it ends.

Asides need only A, belong to no place in particular, and touch nothing that a plot keeps track of.
"""

RULES = """
when
- One [bright|cold|windy|rainy|quiet|warm|grey|misty|fine] [morning|day|afternoon]
- One [morning|day|afternoon] in [May|June|September|October|November|March]
- On [a|the first] [warm|cold|dry|sunny] day of <season>
- On <weekday> [morning|afternoon]
- Just after [breakfast|lunch]
- [Last|One] <season>
- Soon after the [rain|snow|storm] had stopped
- On the [day of the fair|first day of the holidays|last day of school|day before the feast]

when_morning
- One [bright|cold|windy|rainy|quiet|warm|grey|misty|fine] morning
- Early [one morning|in the morning|on <weekday>]
- On <weekday> morning
- Before the sun was up
- Just after breakfast
- At [six|seven|eight] o'clock in the morning

intro
- {A} was a <trait> {A.boy} who loved <love>.
- {A} was a <trait> and <trait> {A.boy}.
- In a [small|quiet|busy] [village|town] [by the sea|in the hills|near the forest|beside a river] lived a {A.boy}
  called {A}.
- There was once a {A.boy} named {A} who [loved <love>|asked too many questions|could not sit still|was never in a
  hurry|was afraid of the dark|dreamed of faraway places].
- Everybody in the [village|street|town] knew {A}, the <trait> {A.boy} from the [mill|bakery|corner house|last house
  on the left|house with the green door].
- {A} lived [above the bakery|at the edge of the forest|in a house with a red roof|near the old bridge|on a small
  farm]. {A.He} was a <trait> {A.boy}.

intro_adult
- {A} was a <trait> {A.man} who loved <love>.
- In a [small|quiet|busy] [village|town] [by the sea|in the hills|near the forest|beside a river] lived a {A.man}
  called {A}.
- There was once a <trait> {A.man} named {A}.
- {A} was a {A.man} of few words, but everybody [liked|trusted|knew] {A.him}.
- {A} lived alone [above the bakery|at the edge of the forest|in a house with a red roof|near the old bridge]. {A.He}
  was a <trait> {A.man}.

intro_worker
- {A} was {A.a_job} in a [small|quiet|busy] [town|village].
- {A} had been {A.a_job} for [ten|twelve|twenty] years and [still loved the work|knew everything about it|was never
  bored].
- Every day {A} the {A.job} got up at [five|six|seven] and went to work.
- There was once {A.a_job} named {A}, a <trait> {A.man} who loved <love>.
- {A} was a <trait> {A.man} and the best {A.job} in town.

weather
- It was [raining|snowing|windy|warm|very cold|foggy] outside.
- The sun was shining, and the air smelled of [hay|the sea|flowers|fresh bread].
- Dark clouds hung over the [roofs|hills|fields].
- The wind shook the [windows|trees|doors] and blew [dust|leaves] across the street.
- There was not a cloud in the sky.
- Snow lay on the roofs, and smoke rose from every chimney.
- It had rained all night, and the road was full of puddles.

lead
- {A}
- {A.He}
- Then {A.he}
- A little later {A}
- After that {A.he}
- {A.He}
- Next {A.he}
- Soon afterwards {A}

aside
- A <small_animal> ran across the road, and {A} stopped to look at it.
- {A} met <neighbour>, who was carrying <load>. They talked about the [weather|harvest|price of bread|news] for a
  while.
- {A} stopped for a moment to [tie {A.his} shoes|listen to the bells|look at the sky|drink some <drink>].
- Somewhere somebody was singing <song>. {A} listened until it was over.
- Two children were playing <game>, and {A} joined them for a little while.
- <neighbour_cap> asked {A} the way to [the station|the harbour|the town hall|the old bridge].
- A cart with <load> had lost a wheel, and {A} helped to lift it.
- A boat with a [white|red|brown] sail went by on the river, and {A} looked after it.
- The smell of [fresh bread|fried onions|roses|coffee] came from an open window, and {A} suddenly felt hungry.
- A [dog|donkey|goose] followed {A} for a while and then went home.
- <neighbour_cap> gave {A} [a plum|a bun|an apple|a handful of nuts] and wished {A.him} a good day.
- {A} found a [shiny stone|blue feather|bent coin|piece of string] and put it into {A.his} pocket.
- Somebody had painted a [fish|face|ship|flower] on a wall, and {A} liked it.
- {A} saw <neighbour> on the other side of the street and said good day.
- The wind grew [stronger|colder], and {A} pulled {A.his} [coat|hat|scarf|jacket] tight.

more
- <lead> was thirsty and drank a [cup|glass] of <drink>.
- <lead> helped <neighbour> to carry <load> up the [hill|stairs|street].
- It began to rain, so {A.he} waited under <a_tree> until it stopped.
- <lead> picked some <flower> by the side of the road.
- <lead> was hungry and ate <dish>.
- <lead> sat down on a [bench|wall|tree stump] and rested for a while.
- The church clock struck, but {A.he} was in no hurry.
- <lead> counted the [steps|clouds|chimneys|birds on the roof]: there were [nine|eleven|fourteen|sixteen].
- <lead> fell into a puddle and got [wet feet|mud on {A.his} coat|a wet sleeve].
- A <small_animal> was stuck in a fence, and {A} set it free.
- <lead> told <neighbour> a joke about a [goat and a bishop|talking fish|lazy donkey].
- <lead> gave half of {A.his} sandwich to a hungry <small_animal>.
- <lead> nearly stepped on a <small_animal>, which [jumped|ran] away at once.
- <lead> heard thunder far away and walked a little faster.
- <lead> thought about <book>, which {A.he} had read the night before.
- <lead> lent <neighbour> a [pencil|handkerchief|rope|coin].
- <lead> bought <a_bite> and ate [in the sun|on the steps of the church|on a bench|with both hands].
- <lead> climbed over a fence to look at [a field of <flower>|a ruined tower|some sheep|a strange tree].
- <neighbour_cap> was looking for a lost [hat|hen|bicycle|glove], and {A} helped to find it.
- <lead> whistled <song>, and <neighbour> whistled along.
- <lead> threw a stone into the water and looked at the circles.
- <lead> had a short [rest|nap] in the grass under <a_tree>.
- A swarm of bees hung in <a_tree>, so {A.he} walked around it.
- <lead> looked into the window of the [bakery|bookshop|toy shop|hat shop] for a long time.
- <lead> learned from <neighbour> how to [tie a knot|whistle|tell the time by the sun|make a paper boat].
- There was a queue in front of the [bakery|town hall|post office], and {A} wondered why.
- <lead> read a poster about [a circus|a concert|a lost parrot|a flower show].
- <lead> sneezed [twice|three times], because there was so much dust in the air.
- Someone had left a [chair|boot|basket] in the middle of the road, and {A.he} put it aside.
- <lead> jumped over a ditch and almost fell in.
- <lead> asked <neighbour> what time it was. It was [later|earlier] than {A.he} had thought.
- <lead> sang <song> to a [cow|hen|goat], which did not seem to mind.
- <lead> swept the [yard|steps|floor] and found [a lost button|an old coin|nothing but dust].
- <lead> tried to walk on top of a wall and fell down on the soft side.
- The [baker|teacher|miller|gardener] was in a bad mood, and {A} wondered what had happened.

a_bite
- [a|another] [bun|pear|plum|piece of cake|pancake]
- some [cherries|nuts|grapes]

pause
- <ambient>
- <mood>
- <mood>

ambient
- Somewhere a [door slammed|dog howled|bell began to chime|baby was crying|rooster crowed].
- It smelled of [smoke|coffee|wet wool|cinnamon|apples].
- A [cart|bicycle|bus] rattled past.
- For a moment nobody [spoke|moved|knew what to say].
- A cat [yawned|stretched|walked by with its tail in the air|licked its paws].
- It was so quiet that one could hear [a clock tick|a pin drop|the wind in the trees].
- Not far away somebody was [hammering|laughing|singing <song>|calling for a dog].
- A few [sparrows|pigeons|hens] were fighting over a crumb.
- That took [a while|longer than expected|no time at all].
- Nobody had expected that.
- <neighbour_cap> came by with <load> and [nodded|went on|smiled].
- There was no time to lose.

mood
- {A} took a deep breath.
- {A} did not know what to say.
- {A} thought about it for a [moment|while|long time].
- {A}'s heart beat [faster|loudly].
- {A} [scratched {A.his} head|rubbed {A.his} nose|bit {A.his} lip|looked at {A.his} shoes].
- {A} had never [seen|heard|known] anything like it.
- "[Well, well|Oh dear|Who would have thought that|How strange|At last]," thought {A}.
- {A} was [curious|worried|excited|nervous|surprised] and tried not to show it.
- {A} could not help [smiling|laughing|wondering].
- {A} [nodded slowly|shook {A.his} head|shrugged|sighed].
- {A} felt [a little better|a little cold|very small|quite brave] now.
- {A} wished that <wish>.

wish
- it were already tomorrow
- the day would never end
- somebody would tell a joke
- {A.he} had eaten a bigger breakfast
- {A.he} had brought a warmer coat

neighbour_cap
- The [baker|old farmer|miller|blacksmith|teacher|shepherd|gardener|doctor|ferryman|postal clerk]
- A [tall soldier|travelling singer|young sailor|child with a drum|family from the city]

morning_bit
- After breakfast {A} [swept the floor|washed the dishes|fed the hens|made the beds|brushed the pony].
- In the morning {A} [wrote a page in {A.his} diary|read <book>|planted <flower> in the garden|cleaned the windows].
- All morning {A} [helped in the garden|worked in the kitchen|cut wood for the stove|played <game> with the
  neighbours' children].

noon_bit
- At noon {A} ate <dish> [under <a_tree>|at the kitchen table|on the front steps|in the shade].
- When the church clock struck twelve, {A} was hungry and had <dish> for lunch.
- Lunch was <dish>, and {A} had two helpings.
- For lunch {A} ate <dish> and drank a glass of <drink>.

afternoon_bit
- In the afternoon {A} [went for a walk|visited a sick neighbour|took a nap|mended an old chair|drew a picture of a
  <small_animal>].
- After lunch {A} [walked to the library|played <game> with some friends|picked <flower>|went down to the river].
- The afternoon was [long and hot|short and rainy|quiet], and {A} [read <book>|learned <song>|slept a little].

evening_bit
- In the evening {A} had <dish> for supper and [washed the plates|dried the dishes].
- When the sun went down, {A} [closed the shutters|brought in the washing|put more wood on the fire].
- After supper somebody sang <song>, and {A} [sang along|danced|clapped].
- Before going to bed {A} [read <book>|looked at the moon|brushed {A.his} teeth twice].

day_passes
- <morning_bit> <noon_bit> <afternoon_bit>
- <morning_bit> <more> <noon_bit> <more>
- <morning_bit> <more> <more> <noon_bit> <afternoon_bit> <more>
- <aside> <noon_bit> <more> <more> <afternoon_bit>
- <morning_bit> <more> <noon_bit> <afternoon_bit> <more> <more>

long_day
- <morning_bit> <more> <more> <more> ¶ <noon_bit> <more> <more> <afternoon_bit> <more>
- <morning_bit> <more> <more> ¶ <noon_bit> <more> <more> <more> ¶ <afternoon_bit> <more> <more> <more> <more>
- <morning_bit> <more> <more> <more> <more> ¶ <noon_bit> <more> <more> <more> <more> ¶ <afternoon_bit> <more> <more>
  <more> <more>

night
- <evening_bit> That night {A} [slept well|slept badly|dreamed of <love>]. The next morning the [sun was
  shining|street was wet|birds were singing|roofs were white with frost].
- <evening_bit> <more> {A} went to bed [early|late|tired]. The next day came with [rain|wind|bright sun|fog].

moment
- A minute went by.
- Time passed.
- {A} yawned.
- Then {A} had lunch.
- The clock struck [two|nine].
- It [rained|snowed] a little.
- {A} drank some <drink>.
- Nothing else happened.

gap
- []
- []
- <moment> ¶
- <moment> ¶
- <aside> ¶
- <aside> ¶
- <aside> <more> ¶
- <aside> <more> <more> ¶
- <aside> <more> ¶ <aside> <more> ¶
- <day_passes> ¶
- <day_passes> ¶
- <day_passes> ¶ <night> ¶
- <long_day> ¶
- <long_day> ¶ <night> <aside> <more> ¶
- <long_day> ¶ <night> <day_passes> ¶
- <long_day> ¶ <night> <long_day> ¶
- <long_day> ¶ <night> <long_day> ¶
- <long_day> ¶ <night> <long_day> ¶ <night> <day_passes> ¶

end
- {A} [smiled|sang] all the way home.
- That night {A} slept [well|deeply|better than ever].
- {A} never forgot that day.
- "What a day!" said {A}.
- It had been a [good|long|strange|fine] day, and {A} was [tired but happy|glad to be home|ready for bed].
- {A} told the story at supper, and everybody [laughed|listened|wanted to hear it twice].
- {A} wrote it all down in {A.his} diary.
- And so everything ended well.
- {A} went home with [a <light^weight> heart|a full stomach|tired legs|a big smile].
- {A} still tells this story [on winter evenings|when friends come to visit|at every birthday].
- When {A} fell asleep, {A.he} was still smiling.

happy
- {A} was so [happy|glad|proud] that {A.he} [danced around the room|could not stop smiling|jumped into the air|forgot
  to eat].
- {A} laughed out loud.
- {A} felt warm inside.
- {A.His} [face|eyes] shone with joy.
- {A} could hardly believe {A.his} luck.

said
- said
- answered
- replied
- called
- whispered

later
- Some time later [something else happened|came another day to remember].
- That was not all.
- There is another story about {A}.
- Months passed.
- A few [weeks|months] went by.
- And then there was the other thing.
- Not long after that, something else happened to {A}.
- People also tell another story about {A}.
"""
